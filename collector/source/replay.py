"""Replayed files: export requests on disk, read as two logs of one partition each."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from collector.config import ReplayConfig
from collector.records import Kind, Partition, RawRecord
from collector.source import Bounds, Polled, SourceError

log = logging.getLogger(__name__)

TRACES, LOGS = Partition("replay_traces", 0), Partition("replay_logs", 0)
KINDS = {TRACES: Kind.TRACES, LOGS: Kind.LOGS}
SUFFIXES = (".pb", ".json")
POLL_RECORDS_MAX = 100  # a partition
POLL_BYTES_MAX = 8 << 20  # a partition


class ReplaySource:
    """Source of ``replay_traces`` and ``replay_logs``; see collector.source for the contract.

    A file is a record, its place in the configured order the offset; a directory stands for its .pb and .json files
    in the order of their names, a pattern for what it matches. The epoch is a digest of all contents: the same files
    again go on where they ended (nothing is counted twice), other files are another log. All records bear one
    timestamp, the newest file's, so that the whole replay is one moment to the join. ``finished`` turns true when
    everything was delivered: `assay run` then commits and ends. There is no live input to wait for.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self._config = config
        self._files: dict[Partition, tuple[Path, ...]] = {}
        self._epochs: dict[str, str] = {}
        self._timestamp = 0.0
        self._positions: dict[Partition, int | None] = {}
        self._paused: frozenset[Partition] = frozenset()
        self._announced = False
        self._started = False
        self._readable = True

    def start(self) -> None:
        self._files = {
            partition: expand(paths)
            for partition, paths in ((TRACES, self._config.traces), (LOGS, self._config.logs))
            if paths
        }
        try:
            for partition, files in self._files.items():
                self._epochs[partition.topic] = _digest(files)
            self._timestamp = max(file.stat().st_mtime for files in self._files.values() for file in files)
        except OSError as error:
            raise SourceError(f"replay: {error.filename}: {error.strerror}") from None
        self._started = True

    def poll(self, timeout_seconds: float) -> Polled:
        if not self._started:
            return Polled()
        if not self._announced:
            self._announced = True
            self._positions = dict.fromkeys(self._files)
            return Polled(assigned=tuple(self._files))
        records = [record for partition in self._files for record in self._take(partition)]
        if not records:
            time.sleep(min(timeout_seconds, 0.05))  # everything is delivered, silent or paused
        return Polled(records=records)

    def seek(self, partition: Partition, offset: int) -> None:
        if partition in self._positions:
            self._positions = self._positions | {partition: max(offset, 0)}

    def bounds(self, partition: Partition) -> Bounds:
        return Bounds(0, len(self._held(partition)))

    def offset_at(self, partition: Partition, timestamp: float) -> int:
        return 0 if timestamp <= self._timestamp else len(self._held(partition))

    def kind(self, partition: Partition) -> Kind:
        return KINDS[partition]

    def epoch(self, topic: str) -> str:
        return self._epochs[topic]

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused |= frozenset(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused -= frozenset(partitions)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Nobody watches the lag of a replay."""

    def lag(self) -> Mapping[Partition, int]:
        return {
            partition: max(0, len(self._files[partition]) - (position or 0))
            for partition, position in self._positions.items()
        }

    @property
    def finished(self) -> bool:
        """Everything was delivered."""
        return self._announced and all(
            position is not None and position >= len(self._files[partition])
            for partition, position in self._positions.items()
        )

    @property
    def healthy(self) -> bool:
        return self._started and self._readable

    def close(self) -> None:
        self._started = False

    def _held(self, partition: Partition) -> tuple[Path, ...]:
        try:
            return self._files[partition]
        except KeyError:
            raise SourceError(f"replay: no files for {partition}") from None

    def _take(self, partition: Partition) -> Iterator[RawRecord]:
        position = self._positions[partition]
        if position is None or partition in self._paused:
            return
        size = 0
        for offset, file in enumerate(self._files[partition][position : position + POLL_RECORDS_MAX], position):
            try:
                value = file.read_bytes()
            except OSError as error:
                if self._readable:
                    log.warning("replay: %s: %s", file, error.strerror)
                self._readable = False
                return
            self._readable = True
            size += len(value)
            self._positions = self._positions | {partition: offset + 1}
            yield RawRecord(
                partition=partition, offset=offset, timestamp=self._timestamp, kind=KINDS[partition], value=value
            )
            if size >= POLL_BYTES_MAX:
                return


def expand(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Files in order: a directory gives its .pb and .json files by name, a pattern what it matches, by name.

    Raises SourceError for a path that leads to no file.
    """
    files: list[Path] = []
    for path in paths:
        found = [path] if path.is_file() else sorted(_below(path))
        if not found:
            raise SourceError(f"replay: {path}: no such file, and no .pb or .json file in it")
        files += found
    return tuple(files)


def _below(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    else:
        pattern = path.relative_to(path.anchor) if path.is_absolute() else path
        yield from (file for file in Path(path.anchor).glob(str(pattern)) if file.is_file())


def _digest(files: Iterable[Path]) -> str:
    """Names the contents in their order."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]
