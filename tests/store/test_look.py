"""Who looks at the view waits for no writer, sees one moment of it, and is waited for where the file is exchanged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.store.database import PACK_BYTES_MIN, rows_of
from collector.store.evidence import Findings
from collector.store.materialise import Materialiser
from collector.store.snapshot import Snapshots
from tests.store.build import fill, totals, view
from tests.store.test_evidence import QUESTION

WAIT_SECONDS = 30  # far beyond what anything here takes


@pytest.fixture
def materialiser(tmp_path: Path) -> Materialiser:
    chain, materialiser = view(tmp_path)
    fill(chain)
    assert not materialiser.step().failure
    return materialiser


def calls(materialiser: Materialiser) -> int:
    with materialiser.store.database.look() as connection:
        (found,) = rows_of(connection, "SELECT sum(calls) FROM data.deltas")
    return int(found[0])


def test_a_look_waits_for_no_transaction_and_sees_what_was_committed(materialiser: Materialiser) -> None:
    database, found = materialiser.store.database, []
    with database.transaction() as connection:
        connection.execute("DELETE FROM data.deltas")
        reader = threading.Thread(target=lambda: found.append(calls(materialiser)))
        reader.start()
        reader.join(WAIT_SECONDS)

        assert found == [totals(materialiser.chain)["calls"]]


ASKED: dict[str, Callable[[Findings], object]] = {
    "names": Findings.names,
    "overview": lambda findings: findings.overview(QUESTION.end),
    "coverage": lambda findings: findings.coverage(QUESTION.end),
    "report": lambda findings: findings.report(QUESTION),
    "drift": lambda findings: findings.drift(QUESTION),
    "latest": Findings.latest,
}


@pytest.mark.parametrize("what", ASKED)
def test_no_page_waits_for_a_transaction(materialiser: Materialiser, what: str) -> None:
    found: list[object] = []
    with materialiser.store.database.transaction():
        reader = threading.Thread(target=lambda: found.append(ASKED[what](Findings(materialiser.store))))
        reader.start()
        reader.join(WAIT_SECONDS)

        assert len(found) == 1


def test_a_look_is_of_one_moment(materialiser: Materialiser) -> None:
    database, count = materialiser.store.database, "SELECT count(*) FROM data.deltas"
    with database.look() as looking:
        before = rows_of(looking, count)
        with database.transaction() as connection:
            connection.execute("DELETE FROM data.deltas")

        assert rows_of(looking, count) == before
    assert calls_are_gone(materialiser)


def calls_are_gone(materialiser: Materialiser) -> bool:
    with materialiser.store.database.look() as connection:
        return rows_of(connection, "SELECT count(*) FROM data.deltas") == [(0,)]


def test_a_snapshot_is_published_while_somebody_looks(materialiser: Materialiser, tmp_path: Path) -> None:
    with materialiser.store.database.look() as looking:
        published = Snapshots(tmp_path, 1).publish(materialiser.store)

        assert published is not None
        assert rows_of(looking, "SELECT sum(calls) FROM data.deltas")[0][0] == totals(materialiser.chain)["calls"]


def test_the_file_is_exchanged_when_nobody_looks_any_more(materialiser: Materialiser) -> None:
    database = materialiser.store.database
    with database.transaction() as connection:
        connection.execute(
            f"CREATE TABLE data.large AS SELECT hash(range) AS a FROM range({PACK_BYTES_MIN // 4}) ORDER BY a"
        )
    packed: list[bool] = []
    packer = threading.Thread(target=lambda: packed.append(database.vacuum()))
    with database.look() as looking:
        packer.start()
        packer.join(2)
        assert packer.is_alive()
        assert rows_of(looking, "SELECT count(*) FROM data.large") == [(PACK_BYTES_MIN // 4,)]

    packer.join(WAIT_SECONDS)
    assert packed == [True]
    assert calls(materialiser) == totals(materialiser.chain)["calls"]


def test_a_look_opens_a_file_that_is_closed(materialiser: Materialiser) -> None:
    materialiser.store.close()

    assert calls(materialiser) == totals(materialiser.chain)["calls"]
