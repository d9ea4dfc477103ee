"""Whatever happens to the file, the view comes back by itself and is the same."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import duckdb
import pytest

from collector.chain import open_chain
from collector.store.database import ASIDE_MAX, FILE, StoreBusyError, StoreDamagedError, StoreError, explain
from collector.store.materialise import Materialiser, Store
from tests.core.build import NOON
from tests.store.build import STREAMS, config, digest, fill, rebuilt, some_delta, view


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A chain, a closed view of it, one with a write-ahead log beside it, and what all must say."""
    folder = tmp_path_factory.mktemp("damage")
    chain, materialiser = view(folder / "live")
    fill(chain)
    materialiser.step()
    (folder / "hot").mkdir()
    with materialiser.store.database.read():
        for path in (folder / "live").glob(f"{FILE}*"):
            subprocess.run(["cp", path, folder / "hot" / path.name], check=True)
    materialiser.store.close()
    return folder, rebuilt(chain, folder / "straight")


@pytest.fixture
def world(template, tmp_path):
    """A copy of the template: chain, folder of the view, folder of the one with a log, what both must say."""
    folder, expected = template
    for name in ("live", "hot"):
        shutil.copytree(folder / name, tmp_path / name)
    return open_chain(config(tmp_path / "live")), tmp_path / "live", tmp_path / "hot", expected


def heal(chain, folder):
    """Open what lies in the folder with a new process' eyes, follow, and close."""
    materialiser = Materialiser(chain, Store(config(folder), chain.root))
    steps = [materialiser.step() for _ in range(2)]
    materialiser.store.close()
    return steps, digest(folder / FILE)


@pytest.mark.parametrize("seed", range(8))
def test_a_truncated_file_is_set_aside_and_built_again(world, seed):
    chain, folder, _, expected = world
    path = folder / FILE
    data = path.read_bytes()
    cut = random.Random(seed).randrange(len(data))
    path.write_bytes(data[:cut])

    (first, second), found = heal(chain, folder)

    assert found == expected
    assert (first.failure, second.failure) == ("", "")
    if cut:
        assert first.rebuilt
        assert [path.stat().st_size for path in folder.glob("*.corrupt-*")] == [cut]


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_is_harmless_or_leads_to_a_rebuild(world, seed):
    chain, folder, _, _ = world
    path = folder / FILE
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    chain.append(_more(chain))

    steps, found = heal(chain, folder)

    assert not any(step.failure for step in steps)
    assert found == rebuilt(chain, folder.parent / "again")


def _more(chain):
    head = chain.head(STREAMS[0])[-1]
    return some_delta(random.Random(9), STREAMS[0], head.next, 5, NOON + 900)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["truncated", "flipped"])
def test_a_damaged_log_is_a_shorter_past_or_a_rebuild(world, seed, kind):
    chain, _, hot, expected = world
    log = hot / f"{FILE}.wal"
    data = bytearray(log.read_bytes())
    rng = random.Random(seed)
    if kind == "truncated":
        data = data[: rng.randrange(len(data))]
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    log.write_bytes(data)

    _, found = heal(chain, hot)

    assert found == expected


def test_a_deleted_file_is_built_again_even_while_it_is_open(world):
    chain, folder, _, expected = world
    materialiser = Materialiser(chain, Store(config(folder), chain.root))
    materialiser.step()
    (folder / FILE).unlink()

    step = materialiser.step()
    materialiser.store.close()

    assert "deleted" in step.rebuilt
    assert digest(folder / FILE) == expected


def test_the_log_of_a_deleted_file_is_not_replayed_into_the_next_one(world):
    chain, _, hot, expected = world
    (hot / FILE).unlink()

    _, found = heal(chain, hot)

    assert found == expected
    assert list(hot.glob("*.orphan-*"))


def test_a_file_that_is_no_database_is_set_aside(world):
    chain, folder, _, expected = world
    (folder / FILE).write_bytes(b"these are not the bytes you are looking for" * 100)

    (first, _), found = heal(chain, folder)

    assert "corrupt" in first.rebuilt
    assert found == expected


def test_of_what_was_set_aside_only_the_newest_stay_each_with_its_log(world):
    chain, _, hot, expected = world
    materialiser = Materialiser(chain, Store(config(hot), chain.root))
    kept = hot / f"{FILE}.corrupt-1.for-me"  # whoever wants one for longer renames it
    kept.write_bytes(b"")

    steps = []
    for number in range(ASIDE_MAX + 2):
        materialiser.store.close()
        for path in (hot / FILE, hot / f"{FILE}.wal"):
            path.write_bytes(bytes([number]))
            os.utime(path, (number * 100, number * 100))
        steps.append(materialiser.step())
    materialiser.store.close()

    aside = {path: path.read_bytes()[0] for path in hot.glob("*.corrupt-*") if path != kept}
    assert sorted(aside.values()) == [ASIDE_MAX, ASIDE_MAX, ASIDE_MAX + 1, ASIDE_MAX + 1]
    assert sum(path.name.startswith(f"{FILE}.wal.") for path in aside) == ASIDE_MAX
    assert [step.deleted for step in steps] == [0] * ASIDE_MAX + [2, 2]
    assert kept.exists()
    assert digest(hot / FILE) == expected


def test_what_is_set_aside_now_stays_however_old_its_clock_was(world):
    chain, folder, _, _ = world
    for number in range(ASIDE_MAX):
        (folder / f"{FILE}.outdated-{4_000_000_000 + number}").write_bytes(b"newer, by its name")
    (folder / FILE).write_bytes(b"no database")

    (first, _), _ = heal(chain, folder)

    assert first.deleted == 1
    assert [path.read_bytes() for path in folder.glob("*.corrupt-*")] == [b"no database"]
    assert [path.name for path in folder.glob("*.outdated-*")] == [f"{FILE}.outdated-{3_999_999_999 + ASIDE_MAX}"]


def test_a_view_whose_place_in_the_chain_is_gone_is_built_again(world, tmp_path):
    chain, _, _, _ = world
    links = list(chain.walk(STREAMS[0]))
    behind = Store(config(tmp_path / "behind"), chain.root)
    behind.apply(links[:4])
    chain.delete([link.path for link in links[:6]])
    materialiser = Materialiser(chain, behind)

    step = materialiser.step()
    behind.close()

    assert "no object" in step.rebuilt
    assert digest(behind.database.path) == rebuilt(chain, tmp_path / "rest")


def test_a_second_owner_is_told_and_harms_nothing(world):
    chain, folder, _, expected = world
    script = (
        "import sys; from pathlib import Path; from tests.store.build import view\n"
        "_, materialiser = view(Path(sys.argv[1])); print(materialiser.step().failure); materialiser.store.close()"
    )
    holder = Store(config(folder), chain.root)
    with holder.database.read():
        told = subprocess.run(
            [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    holder.close()

    assert "another process holds the view" in told
    assert digest(folder / FILE) == expected


def test_a_full_disk_is_waited_out(world, tmp_path):
    """A file size limit is as good as a full disk, and can be lifted."""
    chain, _, _, expected = world
    script = f"""
import resource, sys
from pathlib import Path
from tests.store.build import config
from collector.chain import open_chain
from collector.store.materialise import Materialiser, Store
chain = open_chain(config(Path({str(chain.root.parent)!r})))
materialiser = Materialiser(chain, Store(config(Path({str(tmp_path / "full")!r})), chain.root))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
steps = [materialiser.step() for _ in range(12)]
assert all("no room" in step.failure for step in steps), steps
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
steps = [materialiser.step() for _ in range(40)]
assert not steps[-1].failure, steps
materialiser.store.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)

    assert digest(tmp_path / "full" / FILE) == expected


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (duckdb.IOException("Could not set lock on file"), StoreBusyError),
        (duckdb.IOException("write failed: No space left on device"), StoreError),
        (duckdb.FatalException("database has been invalidated: No space left on device"), StoreError),
        (duckdb.IOException("Cannot open file: Permission denied"), StoreError),
        (duckdb.IOException("Corrupt database file: computed checksum"), StoreDamagedError),
        (duckdb.Error("Corrupt database file: computed checksum"), StoreDamagedError),  # DuckDB 2 has no class for it
        (duckdb.FatalException("database has been invalidated"), StoreDamagedError),
        (duckdb.BinderException("no such column"), type(None)),
    ],
)
def test_errors_mean_what_they_mean(error, kind):
    assert type(explain(error)) is kind
