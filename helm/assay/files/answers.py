"""Waits until Assay at $BASE is alive and ready and tells its metrics, or asks for a password for them."""

import os
import ssl
import sys
import time
import urllib.error
import urllib.request

SECONDS_MAX = float(os.environ.get("SECONDS_MAX", "240"))
PAGES = {"/healthz": {200}, "/readyz": {200}, "/metrics": {200, 401}}


def status(page):
    """The status of a page, or why there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whether it answers, not who it is
    try:
        with urllib.request.urlopen(os.environ["BASE"] + page, timeout=10, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


deadline = time.monotonic() + SECONDS_MAX
while bad := {page: found for page, good in PAGES.items() if (found := status(page)) not in good}:
    if time.monotonic() > deadline:
        sys.exit(f"{os.environ['BASE']}: {bad}")
    time.sleep(min(3.0, SECONDS_MAX / 10))
print(f"{os.environ['BASE']} is alive and ready")
