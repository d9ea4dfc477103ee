"""The door asks everybody who he is, realm by realm, and is neither talked nor worn down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from collector.config import AccessConfig, ConfigError, MetricsConfig, Secret
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.listener import passwords
from collector.listener.buckets import Buckets
from collector.listener.guard import FAILED_LOGINS_BURST
from tests.listener.files import hashed, write

TOKEN = "a-token-of-some-length"
SCRAPER, ANALYST = ("prometheus", "scrape-secret"), ("ada", "sql-secret")

Serve = Callable[..., MetricsServer]


async def rows(request: Request) -> PlainTextResponse:
    """Rows."""
    return PlainTextResponse("rows")


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return write(tmp_path / "web.yml", {"basic_auth_users": {SCRAPER[0]: hashed(SCRAPER[1])}})


@pytest.fixture
def analysts(tmp_path: Path) -> AccessConfig:
    users = write(tmp_path / "users.yml", {"basic_auth_users": {ANALYST[0]: hashed(ANALYST[1])}})
    return AccessConfig(users_file=users, bearer_token=Secret(env="TOKEN"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[MetricsServer] = []

    def start(web: Path | None = None, sql: AccessConfig | None = None, **options: Any) -> MetricsServer:
        health = Health()
        health.set("chain", True, "s3://bucket")
        server = MetricsServer(
            Exporter(),
            health,
            MetricsConfig(port=0, web_config_file=web, **options),
            routes=[Route("/sql", rows, methods=["GET", "POST"])],
            own={"sql": sql or AccessConfig()},
            environ={"TOKEN": TOKEN},
        )
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.close()


def status(server: MetricsServer, path: str, **options: Any) -> int:
    return httpx.get(server.url + path, **options).status_code


def test_each_realm_knows_its_own_people_only(serve: Serve, web: Path, analysts: AccessConfig) -> None:
    server = serve(web, analysts)
    bearer = {"authorization": f"Bearer {TOKEN}"}

    seen = {
        (path, who): status(server, path, **options)
        for path in ("/metrics", "/sql")
        for who, options in {
            "nobody": {},
            "scraper": {"auth": SCRAPER},
            "analyst": {"auth": ANALYST},
            "token": {"headers": bearer},
        }.items()
    }

    assert seen == {
        ("/metrics", "nobody"): 401,
        ("/metrics", "scraper"): 200,
        ("/metrics", "analyst"): 401,
        ("/metrics", "token"): 401,
        ("/sql", "nobody"): 401,
        ("/sql", "scraper"): 401,
        ("/sql", "analyst"): 200,
        ("/sql", "token"): 200,
    }


def test_a_scraper_does_not_get_sql_where_sql_has_no_people(serve: Serve, web: Path) -> None:
    answer = httpx.get(f"{serve(web).url}/sql", auth=SCRAPER)

    assert answer.status_code == 403
    assert "sql.access.users_file" in answer.json()["error"]


def test_sql_that_anybody_could_reach_is_closed_until_it_has_people(serve: Serve, analysts: AccessConfig) -> None:
    open_to_all, guarded = serve(host="0.0.0.0"), serve(None, analysts, host="0.0.0.0")

    assert status(open_to_all, "/metrics") == 200
    assert status(open_to_all, "/sql") == 403
    assert status(guarded, "/sql") == 401
    assert status(guarded, "/sql", auth=ANALYST) == 200


def test_the_index_says_whose_credentials_a_page_asks_for_or_what_opens_it(
    serve: Serve, analysts: AccessConfig
) -> None:
    alone, open_to_all, guarded = serve(), serve(host="0.0.0.0"), serve(None, analysts)

    def told(server: MetricsServer) -> str:
        return httpx.get(server.url.replace("0.0.0.0", "127.0.0.1")).text.partition('href="/sql"')[2]

    assert "<dd>Rows.</dd>" in told(alone)
    assert "<dd>Rows. Closed: set sql.access.users_file or .bearer_token first.</dd>" in told(open_to_all)
    assert "<dd>Rows. Asks for credentials of the realm sql.</dd>" in told(guarded)


@pytest.mark.parametrize("path", ["/sql/", "//sql", "/%73ql", "/sql?x=/metrics", "/metrics/../sql", "/SQL"])
def test_no_spelling_of_a_path_leads_around_its_realm(serve: Serve, web: Path, path: str) -> None:
    assert status(serve(web), path, auth=SCRAPER) in (403, 404)


def test_on_the_loopback_a_page_of_another_origin_or_name_is_not_answered(serve: Serve) -> None:
    server = serve()

    assert status(server, "/sql") == 200
    assert status(server, "/sql", headers={"origin": "http://evil.example"}) == 403
    assert status(server, "/sql", headers={"host": "evil.example"}) == 403
    assert status(server, "/sql", headers={"origin": server.url}) == 200


def test_probes_are_answered_without_a_password_and_without_details(serve: Serve, web: Path) -> None:
    server = serve(web)

    assert httpx.get(f"{server.url}/readyz").json() == {"ready": True}
    assert "s3://bucket" in httpx.get(f"{server.url}/readyz", auth=SCRAPER).text
    assert httpx.get(f"{server.url}/healthz").json() == {"alive": True}


def test_a_changed_file_is_in_force_at_once_and_a_broken_one_is_not(serve: Serve, web: Path) -> None:
    server = serve(web)
    assert status(server, "/metrics", auth=SCRAPER) == 200

    write(web, {"basic_auth_users": {SCRAPER[0]: hashed("another")}})
    assert status(server, "/metrics", auth=SCRAPER) == 401
    assert status(server, "/metrics", auth=(SCRAPER[0], "another")) == 200

    write(web, "basic_auth_users: [")
    assert status(server, "/metrics", auth=(SCRAPER[0], "another")) == 200
    assert server.stale


def test_users_that_come_later_are_asked_for_from_then_on(serve: Serve, web: Path) -> None:
    users = web.read_text()
    server = serve(write(web, {}))
    assert status(server, "/metrics") == status(server, "/sql") == 200

    write(web, users)

    assert status(server, "/metrics") == 401
    assert status(server, "/metrics", auth=SCRAPER) == 200
    assert status(server, "/sql", auth=SCRAPER) == 403


def test_users_that_leave_the_file_do_not_leave_the_door_open(serve: Serve, web: Path) -> None:
    server = serve(web)

    write(web, {})

    assert status(server, "/metrics") == 401
    assert status(server, "/metrics", auth=SCRAPER) == 401


@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic !!!", "Basic " + "QQ==" * 3_000, "Digest x", "Bearer", "Basic YQ==", "Basic cHJvbWV0aGV1czoAAA=="],
)
def test_a_header_that_makes_no_sense_is_a_wrong_password(serve: Serve, web: Path, authorization: str) -> None:
    assert status(serve(web), "/metrics", headers={"authorization": authorization}) == 401


def test_guessing_is_stopped_before_it_costs_anything_and_the_right_password_waits_too(
    serve: Serve, web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashings: list[str] = []
    real = passwords._fits
    monkeypatch.setattr(passwords, "_fits", lambda password, known: hashings.append(password) or real(password, known))
    server = serve(web)

    statuses = [status(server, "/metrics", auth=(SCRAPER[0], f"guess-{n}")) for n in range(FAILED_LOGINS_BURST + 5)]
    last = httpx.get(f"{server.url}/metrics", auth=SCRAPER)

    assert statuses == [401] * FAILED_LOGINS_BURST + [429] * 5
    assert (last.status_code, int(last.headers["retry-after"]) > 0) == (429, True)
    assert len(hashings) == FAILED_LOGINS_BURST
    assert server.refused == {"unauthorized": FAILED_LOGINS_BURST, "logins": 6}


def test_a_password_is_hashed_once_and_an_unknown_user_as_slowly_as_a_known_one(
    serve: Serve, web: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[str] = []
    real = passwords._fits
    monkeypatch.setattr(passwords, "_fits", lambda password, known: costs.append(known[:7]) or real(password, known))
    server = serve(web)

    for auth in (SCRAPER, SCRAPER, SCRAPER, ("stranger", "x"), (SCRAPER[0], "x")):
        status(server, "/metrics", auth=auth)

    assert costs == ["$2b$04$"] * 3


def test_an_address_that_asks_too_often_is_slowed_and_told_when_to_come_back(serve: Serve) -> None:
    server = serve(requests_per_second_max=1)

    answers = [httpx.get(f"{server.url}/healthz") for _ in range(8)]

    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)


def test_the_rate_limit_of_the_file_and_that_of_a_user_hold(serve: Serve, web: Path, analysts: AccessConfig) -> None:
    write(web, {"rate_limit": {"interval": "1h", "burst": 3}})
    limited = serve(web)
    user = serve(None, analysts.model_copy(update={"requests_per_minute_max": 2}))

    assert [status(limited, "/healthz") for _ in range(4)] == [200, 200, 200, 429]
    assert [status(user, "/sql", auth=ANALYST) for _ in range(3)] == [200, 200, 429]
    assert status(user, "/sql", headers={"authorization": f"Bearer {TOKEN}"}) == 200


def test_every_answer_has_the_headers_that_browsers_need_and_the_file_has_the_last_word(
    serve: Serve, web: Path
) -> None:
    plain = serve()
    told = {"X-Frame-Options": "sameorigin", "Content-Security-Policy": "default-src 'none'"}
    write(web, {"http_server_config": {"headers": told}})

    for answer in (httpx.get(f"{plain.url}/sql"), httpx.get(f"{plain.url}/sql", headers={"origin": "http://x"})):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
    own = httpx.get(f"{serve(web).url}/sql").headers
    assert (own["x-frame-options"], own["content-security-policy"]) == ("sameorigin", "default-src 'none'")


def test_no_secret_is_in_a_log_a_repr_or_an_answer(
    serve: Serve, web: Path, analysts: AccessConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(web, analysts)

    answers = [
        httpx.get(server.url + path, auth=auth).text for path in ("/metrics", "/sql") for auth in (SCRAPER, ANALYST)
    ]
    write(web, f"basic_auth_users: {{x: {SCRAPER[1]}}}")
    status(server, "/metrics")

    told = "\n".join([*answers, caplog.text, repr(analysts), repr(server._guard)])
    for secret in (SCRAPER[1], ANALYST[1], TOKEN, "$2b$"):
        assert secret not in told


def test_a_short_token_is_a_fault_of_the_configuration(serve: Serve) -> None:
    with pytest.raises(ConfigError, match=r"sql\.access\.bearer_token: a token has at least 16"):
        MetricsServer(
            Exporter(),
            Health(),
            MetricsConfig(port=0),
            own={"sql": AccessConfig(bearer_token=Secret(env="TOKEN"))},
            environ={"TOKEN": "short"},
        )


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("ab"))), st.floats(0.1, 10), st.integers(1, 5))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(
    steps: list[tuple[float, str]], rate: float, burst: int
) -> None:
    now = 0.0
    buckets = Buckets(per_second=rate, burst=burst, clock=lambda: now)
    taken = dict.fromkeys("ab", 0)

    for pause, key in steps:
        now += pause
        wait = buckets.take(key)
        taken[key] += not wait
        assert taken[key] <= burst + now * rate + 1e-6
        assert wait <= 1 / rate + 1e-9
