"""Two things that kafka-python 3.0 gets wrong, mended on one consumer and nowhere else; a test shows each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher

from collector.records import Partition


class Broken(NamedTuple):
    """An offset that could not be read, and whether it was left behind."""

    partition: Partition
    offset: int
    detail: str
    skipped: bool


BrokenBatch = Callable[[TopicPartition, int, Exception], bool]
"""Told of an offset whose batch cannot be read, and why; answers whether to leave the offset behind."""


def read_past_broken_batches(consumer: Any, broken: BrokenBatch) -> None:
    """Leave a batch behind that cannot be read, and tell ``broken``.

    The client raises once. Then it stands in front of that batch for ever, inside ``poll``, in a loop of its own.
    """

    class Tolerant(Fetcher.PartitionRecords):  # type: ignore[misc]  # kafka-python has no types
        def take(self, n: int | None = None) -> list[Any]:
            try:
                return list(super().take(n))
            except Exception as error:
                # a batch is fetched whole from any of its offsets, so one step at a time finds its end for sure
                if broken(self.topic_partition, self.next_fetch_offset, error):
                    self.next_fetch_offset += 1
                self.drain()
                return []

    consumer._fetcher.PartitionRecords = Tolerant


def keep_finished_joins(consumer: Any) -> None:
    """Use the result of a join that finished between two polls.

    The client forgets it and joins again, and if it leads the group, everybody has to: with several members and short
    polls a rebalance can go on for a minute. Worse, the join may have removed its own cause (the leader has now seen
    the new partitions): then the client never asks for the result, does not heartbeat, and waits for ever.
    """
    coordinator = consumer._coordinator
    join, complete = coordinator._do_join_and_sync_async, coordinator._on_join_complete_async
    finished: list[tuple[Any, bytes]] = []  # the generation that was joined, and what it assigned

    async def joined_once() -> bytes:
        coordinator.rejoin_needed = True  # until somebody has taken the result; the client takes it back then
        if finished:
            generation, assignment = finished.pop()
            if generation == coordinator._generation:
                return assignment
        joined: bytes = await join()
        finished[:] = [(coordinator._generation, joined)]
        return joined

    async def completed(*arguments: Any) -> None:
        finished.clear()
        await complete(*arguments)

    coordinator._do_join_and_sync_async = joined_once
    coordinator._on_join_complete_async = completed
