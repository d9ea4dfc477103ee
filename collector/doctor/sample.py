"""Where the doctor's sample comes from: files, or the last records of each partition of a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from collector.config import Config, ConfigError, LimitsConfig
from collector.records import Kind, Partition, RawRecord
from collector.source import Source

POLL_SECONDS = 0.5


def from_files(traces: Sequence[Path], logs: Sequence[Path], limits: LimitsConfig) -> tuple[list[RawRecord], list[str]]:
    """One record a file, and a sentence for each file that cannot be read."""
    records: list[RawRecord] = []
    problems: list[str] = []
    for kind, paths in ((Kind.TRACES, traces), (Kind.LOGS, logs)):
        for offset, path in enumerate(paths):
            try:
                with path.open("rb") as file:
                    value = file.read(limits.record_bytes_max + 1)
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
                continue
            records.append(
                RawRecord(partition=Partition(kind.value, 0), offset=offset, timestamp=0.0, kind=kind, value=value)
            )
    return records, problems


def for_sampling(config: Config) -> Config:
    """The configuration under a consumer group of its own: the daemon's partitions stay with the daemon."""
    kafka = config.source.kafka
    if kafka is None:
        raise ConfigError("doctor samples Kafka topics: configure source.kafka, or name files with --traces and --logs")
    sampling = kafka.model_copy(update={"group": f"{kafka.group}-doctor"})
    return config.model_copy(update={"source": config.source.model_copy(update={"kafka": sampling})})


def from_source(
    source: Source, per_partition: int, clock: Callable[[], float], *, seconds_max: float = 30.0
) -> tuple[list[RawRecord], dict[Partition, Kind]]:
    """The last ``per_partition`` records of every partition, and all partitions; commits nothing, closes the source.

    Ends when every partition was read to the end that it had, or after ``seconds_max``.
    """
    records: list[RawRecord] = []
    kinds: dict[Partition, Kind] = {}
    left: dict[Partition, int] = {}  # partition -> the offset to read up to
    started = clock()
    try:
        source.start()
        while clock() - started < seconds_max and (left or not kinds):
            polled = source.poll(POLL_SECONDS)
            for partition in polled.revoked:
                left.pop(partition, None)
            for partition in polled.assigned:
                bounds = source.bounds(partition)
                kinds[partition] = source.kind(partition)
                begin = max(bounds.first, bounds.end - per_partition)
                if begin < bounds.end:
                    left[partition] = bounds.end
                source.seek(partition, begin)
            for record in polled.records:
                if record.partition in left:
                    records.append(record)
                    if record.offset + 1 >= left[record.partition]:
                        del left[record.partition]
            if not polled.records and not polled.assigned and left:
                lag = source.lag()
                left = {partition: end for partition, end in left.items() if lag.get(partition, 1) > 0}
    finally:
        source.close()
    return records, kinds
