# syntax=docker/dockerfile:1
# docker build --build-arg TORCH=cuda -t assay .
#
# TORCH=cuda  the default index carries PyTorch with CUDA for x86-64.
# TORCH=cpu   several gigabytes smaller. Tell pip where your CPU builds of PyTorch are (see PyTorch's own install page):
#             --build-arg TORCH=cpu --build-arg PIP_ARGS="--extra-index-url …"
# Either way the build fails when pip brought the other one. TORCH=any takes what pip brings.
#
# EXTRAS      of the project: --build-arg EXTRAS=fast,openvino, or EXTRAS= for none. Where nothing is said: fast, and
#             with TORCH=cpu openvino as well, so that `signals.backend` has both to choose from.

FROM python:3.12-slim AS build
ARG TORCH=cuda
ARG PIP_ARGS=""
ARG EXTRAS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# What is installed is decided by pyproject.toml alone, so a change of the code costs the last layer and not the gigabytes.
COPY pyproject.toml ./
RUN python -m venv /opt/assay \
    && EXTRAS="${EXTRAS-fast$(test "${TORCH}" != cpu || echo ,openvino)}" \
    && python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *(need for extra in '${EXTRAS}'.split(',') if extra \
for need in project['optional-dependencies'][extra]), sep='\n')" > requirements.txt \
    && /opt/assay/bin/pip install ${PIP_ARGS} --requirement requirements.txt \
    && /opt/assay/bin/python -c "import sys, torch; has = 'cuda' if torch.version.cuda else 'cpu'; \
sys.exit(0 if '${TORCH}' in (has, 'any') else f'pip brought PyTorch for {has}, TORCH says ${TORCH}: see PIP_ARGS')"
COPY . .
RUN /opt/assay/bin/pip install ${PIP_ARGS} --no-deps .

FROM python:3.12-slim
LABEL org.opencontainers.image.title="Assay" \
    org.opencontainers.image.description="Tests the quality of every traced LLM call that streams through Kafka." \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/assay /opt/assay
RUN mkdir -p /var/lib/assay && chown 10001:10001 /var/lib/assay
# Nothing is written outside /var/lib/assay and /tmp, so the root may be read-only:
# docker run --read-only --tmpfs /tmp --cap-drop ALL -v assay:/var/lib/assay -v ./assay.yaml:/etc/assay/assay.yaml:ro assay
ENV PATH=/opt/assay/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ASSAY_METRICS__HOST=0.0.0.0
USER 10001:10001
WORKDIR /var/lib/assay
VOLUME /var/lib/assay
EXPOSE 9464 4318
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["assay"]
CMD ["run", "--config", "/etc/assay/assay.yaml"]
