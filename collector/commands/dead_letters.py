"""Say which records could not be decoded, write them to files, or send them again; their content is never printed."""

from __future__ import annotations

import argparse
import hashlib
import heapq
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from collector import durable
from collector.commands._place import add_place, config_of
from collector.config import Config
from collector.records import RejectReason
from collector.source import SourceError
from collector.source.build import open_letterboxes, open_resender
from collector.source.letterbox import Letter, Letterbox, Resender

NEWEST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "--again is at least once: letters stay where they are, and a record that is sent twice counts twice; "
        "--reason and --since say which. Exit status: 0 done, 1 something could not be read, written or sent, "
        "2 the configuration is wrong."
    )
    add_place(parser)
    parser.add_argument(
        "--reason", nargs="+", choices=[*map(str, RejectReason)], metavar="REASON", help="only these: %(choices)s"
    )
    parser.add_argument("--since", type=_time, metavar="TIME", help="only records of then (ISO 8601, UTC) or later")
    parser.add_argument("--newest", type=int, default=NEWEST, metavar="N", help="list so many (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write each record, as it was, to a file there")
    parser.add_argument("--again", action="store_true", help="send each to its topic and partition, as a new record")


def run(args: argparse.Namespace) -> int:
    config = config_of(args)
    resender = open_resender(config, os.environ) if args.again else None
    tally = _Tally(newest_max=max(0, args.newest))
    boxes = open_letterboxes(config, os.environ)
    problem = ""
    try:
        for letter in _chosen(boxes, args.reason, args.since):
            tally.add(letter)
            if not letter.value:
                continue
            if args.write is not None:
                tally.written += _write(args.write, letter)
            if resender is not None:
                tally.again += _send(resender, config, letter)
    except SourceError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    finally:
        if resender is not None:
            resender.close()
    print("\n".join(tally.lines(boxes, args)))
    if problem:
        print(f"assay dead-letters: {problem}; what comes after it was left out", file=sys.stderr)
    return 1 if problem else 0


def _chosen(boxes: Sequence[Letterbox], reasons: Sequence[str] | None, since: float | None) -> Iterator[Letter]:
    for box in boxes:
        for letter in box.letters():
            if (reasons is None or letter.reason in reasons) and (since is None or letter.timestamp >= since):
                yield letter


def _write(folder: Path, letter: Letter) -> bool:
    """Whether the record got a file; a letter that came twice has one already."""
    topic = re.sub(r"[^\w.-]", "_", letter.partition.topic)
    digest = hashlib.sha256(letter.value or b"").hexdigest()[:8]
    path = folder / f"{topic}-{letter.partition.number}-{letter.offset:020d}-{digest}.pb"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        durable.create(path, letter.value or b"")
    except FileExistsError:
        return False
    return True


def _send(resender: Resender, config: Config, letter: Letter) -> bool:
    kafka = config.source.kafka
    if kafka is None or not kafka.reads(letter.partition.topic):
        return False
    resender.send(letter)
    return True


@dataclass(slots=True)
class _Tally:
    """What is told: counts, and the newest letters without their content."""

    newest_max: int
    letters: Counter[str] = field(default_factory=Counter)  # by reason, as are the bytes
    sizes: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    written: int = 0
    again: int = 0
    _newest: list[tuple[float, int, Letter, int]] = field(default_factory=list)

    def add(self, letter: Letter) -> None:
        size = len(letter.value or b"")
        self.letters[letter.reason] += 1
        self.sizes[letter.reason] += size
        self.empty += not size
        told = replace(letter, key=None, value=None)
        heapq.heappush(self._newest, (letter.timestamp, self.letters.total(), told, size))
        if len(self._newest) > self.newest_max:
            heapq.heappop(self._newest)

    def lines(self, boxes: Sequence[Letterbox], args: argparse.Namespace) -> Iterator[str]:
        where = " and ".join(box.name for box in boxes)
        yield f"{self.letters.total():,} letters, {self.sizes.total():,} bytes, in {where}"
        for reason, n in self.letters.most_common():
            yield f"  {reason:<20}{n:>8,} letters {self.sizes[reason]:>14,} bytes"
        if unreadable := sum(box.unreadable for box in boxes):
            yield f"{unreadable:,} other entries there are no letters of Assay"
        for at, _, letter, size in sorted(self._newest, reverse=True):
            time = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" if at > 0 else "time unknown"
            record = f"{letter.partition} offset {letter.offset}"
            yield f"{time}  {record}  {letter.reason}  {size:,} bytes  ({letter.place})"
        full = self.letters.total() - self.empty
        if self.empty and (args.write is not None or args.again):
            yield f"of {self.empty:,} no content was left"
        if args.write is not None:
            yield f"{self.written:,} records written to {args.write}, whole: guard them like the topic"
        if args.again:
            left = f", {full - self.again:,} left out" if full > self.again else ""
            yield f"{self.again:,} records sent again{left}; asked once more, they are sent once more"


def _time(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a time is written like 2026-11-27T09:00") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
