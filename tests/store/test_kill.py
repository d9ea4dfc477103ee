"""kill -9 at random points of a materialising process: what remains goes on and ends like an uninterrupted one."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from collector.chain import open_chain
from collector.store.database import FILE
from tests.store.build import STREAMS, config, digest, rebuilt, some_delta

KILLS = 20

FOLLOWER = """
import sys
from pathlib import Path
from collector.chain import open_chain
from collector.store.housekeeping import Housekeeper
from collector.store.materialise import Materialiser, Store
from collector.store.snapshot import Snapshots
from tests.core.build import NOON
from tests.store.build import config
settings = config(Path(sys.argv[1]), store={"compact_after_deltas": 4})
chain = open_chain(settings)
materialiser = Materialiser(chain, Store(settings, chain.root))
keeper, snapshots = Housekeeper(chain, materialiser.store), Snapshots(settings.data, 2)
print("ready", flush=True)
for turn in range(int(sys.argv[2])):
    step = materialiser.step()
    assert not step.failure, step
    if turn % 3 == 1:
        keeper.compact(NOON + 10**7)
        snapshots.publish(materialiser.store)
        keeper.sweep()
        materialiser.store.database.vacuum()
"""


@pytest.mark.slow
def test_no_kill_loses_or_doubles_anything(tmp_path):
    rng = random.Random(11)
    chain = open_chain(config(tmp_path))
    ends = dict.fromkeys(STREAMS, 0)
    for number in range(KILLS):
        for stream in STREAMS:
            for _ in range(2):
                delta = some_delta(rng, stream, ends[stream], rng.randrange(8), 1_790_000_000 + number * 40)
                chain.append(delta)
                ends[stream] = delta.footer.next
        with subprocess.Popen(
            [sys.executable, "-c", FOLLOWER, str(tmp_path), "1000"], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(rng.random() * 0.6)
            process.kill()

    subprocess.run([sys.executable, "-c", FOLLOWER, str(tmp_path), "3"], check=True, timeout=120)

    assert not list(tmp_path.glob("*.corrupt-*"))
    found, expected = digest(tmp_path / FILE), rebuilt(chain, tmp_path / "straight")
    assert found == expected
