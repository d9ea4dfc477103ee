"""One suite for every place a chain can lie in."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from collector.chain import Chain, ChainError, Conflict, Link, open_chain
from collector.config import Config
from collector.delta import DeltaError, Stream, encode
from tests.core import build


@pytest.fixture(params=["directory", "memory", pytest.param("s3", marks=pytest.mark.server("s3"))])
def chain(request, tmp_path):
    if request.param == "directory":
        return Chain(LocalStore(str(tmp_path)), tmp_path)
    if request.param == "memory":
        return Chain(MemoryStore())
    return Chain(request.getfixturevalue("s3_store"))


def test_the_probe_accepts_a_store_that_puts_only_if_absent(chain):
    chain.probe()

    assert chain.streams() == []


def test_a_store_that_overwrites_is_refused(monkeypatch):
    chain = Chain(MemoryStore())
    put = obstore.put
    monkeypatch.setattr("collector.chain.obstore.put", lambda *a, **k: put(*a, **(k | {"mode": "overwrite"})))

    with pytest.raises(ChainError, match="If-None-Match"):
        chain.probe()


def test_the_walk_follows_next_to_the_head(chain):
    for start, end in ((5, 9), (9, 30), (30, 31)):
        assert isinstance(chain.append(build.delta(start, end)), Link)

    assert [(link.start, link.next) for link in chain.walk(build.STREAM)] == [(5, 9), (9, 30), (30, 31)]
    assert [link.start for link in chain.walk(build.STREAM, 9)] == [9, 30]
    assert list(chain.walk(build.STREAM, 31)) == []
    assert chain.streams() == [build.STREAM]
    assert [link.next for link in chain.head(build.STREAM)] == [31]


def test_the_loser_of_a_race_learns_where_to_go_on(chain):
    chain.append(build.delta(0, 7))

    assert chain.append(build.delta(0, 5)) == Conflict(next=7)
    assert [(link.start, link.next) for link in chain.walk(build.STREAM)] == [(0, 7)]


def test_an_append_whose_answer_was_lost_may_be_repeated(chain):
    first = chain.append(build.delta(0, 7))
    again = chain.append(build.delta(0, 7))

    assert isinstance(first, Link)
    assert isinstance(again, Link)
    assert first.path == again.path


def test_of_many_writers_one_wins(chain):
    results = []

    def write(end):
        results.append(chain.append(build.delta(0, end)))

    threads = [threading.Thread(target=write, args=(end,)) for end in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [result for result in results if isinstance(result, Link)]
    assert len(winners) == 1
    assert {result.next for result in results} == {winners[0].next}


def test_an_object_that_no_walk_reaches_counts_for_nothing(chain):
    chain.append(build.delta(0, 10))
    chain.append(build.delta(7, 20))

    assert [link.start for link in chain.walk(build.STREAM)] == [0]


def test_a_merged_object_replaces_its_run_before_and_after_the_run_is_deleted(chain):
    links = [chain.append(build.delta(start, start + 2)) for start in range(0, 8, 2)]
    chain.put_merged(build.delta(0, 6))
    chain.put_merged(build.delta(0, 6))

    assert [(link.start, link.next) for link in chain.walk(build.STREAM)] == [(0, 6), (6, 8)]

    chain.delete([link.path for link in links[:3]])
    chain.delete([links[0].path])

    assert [(link.start, link.next) for link in chain.walk(build.STREAM)] == [(0, 6), (6, 8)]
    assert [link.next for link in chain.head(build.STREAM)] == [8]


def test_the_head_reaches_back_over_merged_objects_as_far_as_it_is_asked_to(chain):
    for start in range(0, 12, 2):
        chain.append(build.delta(start, start + 2))
    for start in (0, 4, 8):
        chain.put_merged(build.delta(start, start + 4))

    def recent(links):
        return [link for link in links if link.next > 5]

    assert [link.start for link in chain.head(build.STREAM, recent)] == [4, 8]
    assert [link.start for link in chain.head(build.STREAM, lambda links: links)] == [0, 4, 8]
    assert [link.start for link in chain.head(build.STREAM)] == [8]


def test_whoever_comes_long_after_a_lost_race_learns_of_it_from_the_merged_object(chain):
    links = [chain.append(build.delta(start, start + 2)) for start in range(0, 8, 2)]
    chain.put_merged(build.delta(0, 6))
    chain.delete([link.path for link in links[:3]])

    assert isinstance(chain.append(build.delta(2, 5), stale=True), Conflict)
    assert isinstance(chain.append(build.delta(8, 9), stale=True), Link)
    assert [link.next for link in chain.walk(build.STREAM)] == [6, 8, 9]


def test_whoever_comes_after_its_range_was_retired_does_not_begin_a_second_chain(chain):
    links = [chain.append(build.delta(start, start + 2)) for start in range(0, 8, 2)]
    chain.delete([link.path for link in links[:3]])

    assert isinstance(chain.append(build.delta(2, 5), stale=True), Conflict)
    assert [link.start for link in chain.walk(build.STREAM)] == [6]


def test_streams_are_apart(chain):
    other = Stream("otlp_spans", "e2", 3)
    chain.append(build.delta(0, 2))
    chain.append(build.delta(0, 4, stream=other))

    assert chain.streams() == [build.STREAM, other]
    assert [link.next for link in chain.walk(other)] == [4]


def test_a_damaged_object_ends_the_walk_with_an_error_that_names_it(chain):
    chain.append(build.delta(0, 2))
    obstore.put(chain._store, f"{build.STREAM.path}/{2:020d}.parquet", encode(build.delta(2, 4))[:-9], mode="create")

    with pytest.raises(DeltaError):
        list(chain.walk(build.STREAM))


def test_a_store_that_is_away_is_a_chain_error(tmp_path):
    chain = Chain(LocalStore(str(tmp_path)), tmp_path)
    (tmp_path / "otlp_spans@e1").write_text("a file where a folder must be")

    with pytest.raises(ChainError, match="object store"):
        chain.append(build.delta(0, 2))


def test_a_winner_that_was_merged_away_meanwhile_is_a_reason_to_try_again(monkeypatch):
    chain = Chain(MemoryStore())
    chain.append(build.delta(0, 7))
    get = obstore.get

    def swept(store, path):
        obstore.delete(store, path)
        return get(store, path)

    monkeypatch.setattr("collector.chain.obstore.get", swept)
    with pytest.raises(ChainError, match="is gone"):
        chain.append(build.delta(0, 5))


def test_a_request_is_repeated_as_often_as_the_settings_say(tmp_path):
    asked = []

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(500)

        def log_message(self, *_): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "key").write_text("assay")
        secret = {"file": tmp_path / "key"}
        chain = open_chain(
            Config.model_validate(
                {
                    "source": {"otlp": {}},
                    "chain": {
                        "url": "s3://bucket/chain",
                        "retries_max": 2,
                        "s3_endpoint": f"http://127.0.0.1:{server.server_port}",
                        "s3_region": "us-east-1",
                        "s3_access_key_id": secret,
                        "s3_secret_access_key": secret,
                        "s3_allow_http": True,
                    },
                }
            )
        )
        with pytest.raises(ChainError, match="object store"):
            chain.streams()
        server.shutdown()

    assert len(asked) == 3
