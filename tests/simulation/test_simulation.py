"""The seeded simulation: whatever happens to the fleet, every call is counted exactly once."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.world import World

SEEDS = int(os.environ.get("ASSAY_SIMULATION_SEEDS", "25"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_call_is_counted_exactly_once_whatever_happens(seed):
    world = World(seed)

    world.run(250)

    counted = world.counted()
    assert world.unfinished() == {}
    assert {call: n for call, n in counted.items() if n != 1} == {}
    assert Counter(counted.keys()) == Counter(world.produced.keys())
    assert world.clocks_fail or world.textless() == []
    assert world.totals("rejected") == sum(world.spoiled.values())
    assert world.totals("lost") == 0
    assert world.totals("consumed") == len(world.produced) + sum(world.spoiled.values())
    letters = {(letter.record.partition, letter.record.offset) for letter in world.letters.sent}
    assert len(letters) == sum(world.spoiled.values())
