"""A chain that an earlier version wrote is read, followed, merged and verified; what it did not know is unknown."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import duckdb
import pytest

from collector.chain import Chain, open_chain
from collector.delta import LATER_FIELDS, Stream
from collector.store.database import StoreError
from collector.store.desk import calls_folder
from collector.store.housekeeping import Housekeeper
from collector.store.materialise import Materialiser
from collector.store.session import make_views
from collector.store.snapshot import Snapshots
from collector.store.verify import verify
from tests.core.build import NOON
from tests.store.build import config, digest, rebuilt, some_delta, view

EARLIER = Path(__file__).with_name("earlier")  # written before calls had a service version and a language
STREAM = Stream("otlp_spans", "e1", 0)


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[Chain, Materialiser]:
    """The chain of an earlier version, gone on with by this one."""
    shutil.copytree(EARLIER, tmp_path / "chain")
    chain, materialiser = view(tmp_path, store={"compact_after_deltas": 2, "compact_grace_seconds": 0})
    (head,) = chain.head(STREAM)
    assert not LATER_FIELDS.keys() & set(head.delta.calls.column_names)
    chain.append(some_delta(random.Random(1), STREAM, head.next, 5, NOON + 400))
    assert not materialiser.step().failure
    return chain, materialiser


def calls(materialiser: Materialiser) -> list[tuple[object, ...]]:
    """Service version and language of every call, as an analyst sees them."""
    published = Snapshots(materialiser.store.config.data, 1).publish(materialiser.store)
    assert published is not None
    with duckdb.connect(str(published.path), read_only=True) as connection:
        make_views(connection, f"{calls_folder(materialiser.store.config)}/")
        return connection.execute('SELECT service_version, language FROM calls ORDER BY "offset"').fetchall()


def test_what_an_earlier_version_did_not_know_is_unknown(earlier: tuple[Chain, Materialiser]) -> None:
    _, materialiser = earlier

    found = calls(materialiser)

    assert found == [("", None)] * 16 + [("1.0", "en" if place % 2 else "de") for place in range(5)]


def test_both_add_up_and_the_view_is_that_of_the_chain(earlier: tuple[Chain, Materialiser], tmp_path: Path) -> None:
    chain, materialiser = earlier
    calls(materialiser)

    report = verify(chain, materialiser.store.config, Snapshots(tmp_path, 1).newest(), tmp_path / "scratch")

    assert report.problems == []
    assert report.rows["minute_scores"] > 0


def test_old_and_new_objects_become_one(earlier: tuple[Chain, Materialiser], tmp_path: Path) -> None:
    chain, materialiser = earlier
    before = calls(materialiser)

    assert Housekeeper(chain, materialiser.store).compact(NOON + 10_000) == 4
    assert Housekeeper(chain, materialiser.store).compact(NOON + 10_000) > 0

    assert calls(materialiser) == before
    materialiser.store.close()
    assert {name: rows for name, rows in digest(tmp_path / "assay.duckdb").items() if name.startswith("minute")} == {
        name: rows for name, rows in rebuilt(chain, tmp_path / "again").items() if name.startswith("minute")
    }


def test_a_snapshot_of_another_version_is_told_as_such(earlier: tuple[Chain, Materialiser], tmp_path: Path) -> None:
    chain, materialiser = earlier
    calls(materialiser)
    snapshot = Snapshots(tmp_path, 1).newest()
    assert snapshot is not None
    with duckdb.connect(str(snapshot)) as connection:
        connection.execute("UPDATE data.meta SET value = '2' WHERE name = 'format'")

    with pytest.raises(StoreError, match="made by another version"):
        verify(chain, materialiser.store.config, snapshot, tmp_path / "scratch")


def test_a_file_of_another_version_is_set_aside_and_built_again(
    earlier: tuple[Chain, Materialiser], tmp_path: Path
) -> None:
    chain, materialiser = earlier
    before = calls(materialiser)
    materialiser.store.close()
    with duckdb.connect(str(tmp_path / "assay.duckdb")) as connection:
        connection.execute("UPDATE data.meta SET value = '2' WHERE name = 'format'")
    _, materialiser = view(tmp_path)

    step = materialiser.step()

    assert "outdated" in step.rebuilt
    assert step.calls == 21
    assert calls(materialiser) == before
    assert open_chain(config(tmp_path)).streams() == chain.streams()
