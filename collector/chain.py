"""The chain: immutable deltas in a directory or an object store, each put only if absent; knows nothing of scores.

``<topic>@<epoch>/<partition>/<start:020d>.parquet`` is a delta, named by the offset at which it starts. Its footer says
where the next one starts, so the truth is the walk from the first object along ``next``; an object that no walk reaches
(a zombie's, long after a compaction) counts for nothing. ``merged/<start>-<next>.parquet`` replaces a run of deltas.
A folder without ``@`` is no stream: ``drift/`` holds the decisions of collector.drift.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from collector import delta as deltas
from collector import durable
from collector.config import ChainConfig, Config, ConfigError
from collector.delta import Delta, Stream

DELETED_TOGETHER = 1_000  # objects a request, as S3 has it
_PLAIN = re.compile(r"(\d{20})\.parquet")
_MERGED = re.compile(r"merged/(\d{20})-(\d{20})\.parquet")


class ChainError(Exception):
    """The object store did not do what it must; the message is for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One object of a chain, as the walk found it."""

    stream: Stream
    start: int
    path: str  # relative to the chain's root
    delta: Delta
    size: int  # bytes of the object

    @property
    def next(self) -> int:
        return self.delta.footer.next


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Another writer was first: whoever lost drops its batch and goes on at ``next``."""

    next: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object by its name alone; ``next`` is known from the name of a merged one only."""

    start: int
    next: int | None
    path: str


class Chain:
    """Chains of all streams under one root. Thread-safe; every method may raise ChainError."""

    def __init__(self, store: Any, root: Path | None = None) -> None:
        self._store = store
        self.root = root  # where the objects lie on this machine; None: they are remote

    def probe(self) -> None:
        """Refuse a store that overwrites: without put-if-absent nothing here is exact."""
        path = f"probe/{uuid.uuid4().hex}"
        with _explained("probe"):
            self._put(path, b"1")
            try:
                self._put(path, b"2")
            except FileExistsError:
                return
            finally:
                obstore.delete(self._store, path)
        raise ChainError("this object store overwrites where it was told to put only if absent (If-None-Match: *)")

    def append(self, delta: Delta, *, stale: bool = False) -> Link | Conflict:
        """Make a delta durable, or learn that its range is taken. Safe to repeat after an error.

        ``stale``: it is long ago that the chain was seen to end where the delta starts. The object that would tell of
        the lost race may be merged or retired, so those behind it are asked first. DeltaError: the winner is damaged.
        """
        footer = delta.footer
        if not footer.start < footer.next:
            raise AssertionError(f"an empty range: {footer.start}..{footer.next}")
        if stale and (end := self._passed(footer.stream, footer.start)):
            return Conflict(next=end)
        path, data = _plain(footer.stream, footer.start), deltas.encode(delta)
        with _explained(path):
            try:
                self._put(path, data)
            except FileExistsError:
                winner = self._winner(path)
                if winner != data:  # equal bytes: our own earlier attempt, whose answer was lost
                    return Conflict(next=deltas.decode(winner).footer.next)
        return Link(stream=footer.stream, start=footer.start, path=path, delta=delta, size=len(data))

    def streams(self) -> list[Stream]:
        """Every stream that has an object, in order."""
        found = []
        with _explained("list"):
            for topic in obstore.list_with_delimiter(self._store, "")["common_prefixes"]:
                name, at, epoch = topic.rpartition("@")
                if at:
                    below = obstore.list_with_delimiter(self._store, topic)["common_prefixes"]
                    numbers = (prefix.rpartition("/")[2] for prefix in below)
                    found += [Stream(name, epoch, int(number)) for number in numbers if number.isdecimal()]
        return sorted(found)

    def objects(self, stream: Stream, since: int = 0) -> list[Object]:
        """Deltas that start at ``since`` or later, and every merged object; by start, the longest merged one first."""
        after = _plain(stream, since - 1) if since > 0 else None
        found = []
        with _explained(stream.path):
            for chunk in obstore.list(self._store, stream.path, offset=after):
                found += [named for meta in chunk if (named := _name(meta["path"], stream))]
        return sorted(found, key=lambda item: (item.start, -(item.next or -1)))

    def walk(self, stream: Stream, start: int | None = None) -> Iterator[Link]:
        """Follow ``next`` from ``start`` (None: the oldest object) to the head, merged objects first."""
        at = start
        while True:
            known: dict[int, Object] = {}
            for item in self.objects(stream, at or 0):
                known.setdefault(item.start, item)
            if at is None:
                if not known:
                    return
                at = min(known)
            if at not in known:
                return
            while at in known:
                link = self._link(stream, known[at])
                if link is None:
                    break  # compacted away since it was listed: list again
                yield link
                at = link.next

    def head(self, stream: Stream, keep: Callable[[list[Link]], list[Link]] = lambda links: links[-1:]) -> list[Link]:
        """The newest links, oldest first, thinned by ``keep`` as the walk goes; empty for a stream without a chain.

        The walk begins at the newest merged object, or as far before it as ``keep`` drops nothing yet.
        """
        begins: list[int] = []
        for item in sorted(self.objects(stream), key=lambda item: item.next or 0, reverse=True):
            if item.next is not None and item.start < min(begins, default=item.next):
                begins.append(item.start)
        links: list[Link] = []
        for begin in [*begins, None]:
            links, dropped = [], False
            for link in self.walk(stream, begin):
                found, links = len(links) + 1, keep([*links, link])
                dropped |= len(links) < found
            if dropped:
                break
        return links

    def put_merged(self, delta: Delta) -> Link:
        """Store the replacement of a run of deltas; the run itself stays until ``delete``."""
        footer = delta.footer
        path = f"{footer.stream.path}/merged/{footer.start:020d}-{footer.next:020d}.parquet"
        data = deltas.encode(delta)
        with _explained(path):
            try:
                self._put(path, data)
            except FileExistsError:
                delta = deltas.decode(self._winner(path))
        return Link(stream=footer.stream, start=footer.start, path=path, delta=delta, size=len(data))

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects that retention or compaction has made superfluous; absent ones are fine."""
        with _explained("delete"):
            for at in range(0, len(paths), DELETED_TOGETHER):
                some = list(paths[at : at + DELETED_TOGETHER])
                try:
                    obstore.delete(self._store, some)
                except FileNotFoundError:  # a directory says so, and may have left others
                    self._delete_each(some)

    def read(self, path: str) -> bytes:
        """The bytes of one object; FileNotFoundError when it is not there."""
        with _explained(path):
            return self._get(path)

    def create(self, path: str, data: bytes) -> bool:
        """Put an object that is no delta, if absent; whether it is ours. Safe to repeat after an error."""
        with _explained(path):
            try:
                self._put(path, data)
            except FileExistsError:
                return self._winner(path) == data
        return True

    def names(self, folder: str) -> list[str]:
        """The paths of all objects below ``folder``, in order."""
        return sorted(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """The bytes of all objects below ``folder``, by path."""
        with _explained(folder):
            return {meta["path"]: meta["size"] for chunk in obstore.list(self._store, folder) for meta in chunk}

    def folders(self) -> list[str]:
        """The folders right below the root, in order."""
        with _explained("list"):
            return sorted(obstore.list_with_delimiter(self._store, "")["common_prefixes"])

    def drop(self, folder: str) -> None:
        """Remove a folder and all in it, in a directory also what interrupted puts have left there."""
        if self.root is None:
            self.delete(self.names(folder))
            return
        with _explained(folder), suppress(FileNotFoundError):
            shutil.rmtree(self.root / folder)

    def _delete_each(self, paths: Sequence[str]) -> None:
        for path in paths:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, path)

    def _link(self, stream: Stream, item: Object) -> Link | None:
        with _explained(item.path):
            try:
                data = self._get(item.path)
            except FileNotFoundError:
                return None
        delta = deltas.decode(data)
        if delta.footer.stream != stream or delta.footer.start != item.start:
            raise AssertionError(f"{item.path} claims to be {delta.footer.stream.path} at {delta.footer.start}")
        return Link(stream=stream, start=item.start, path=item.path, delta=delta, size=len(data))

    def _passed(self, stream: Stream, offset: int) -> int:
        """How far the chain is known to go beyond an offset; 0: nothing begins or ends behind it."""
        ends = ((item.start, item.next or 0) for item in self.objects(stream, offset))
        return max((max(found) for found in ends if max(found) > offset), default=0)

    def _put(self, path: str, data: bytes) -> None:
        """Put an object if absent; FileExistsError where there is one."""
        if self.root is not None:
            durable.create(self.root / path, data)  # a directory's own put leaves the disk to the operating system
            return
        try:
            obstore.put(self._store, path, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            raise FileExistsError(path) from None

    def _winner(self, path: str) -> bytes:
        """The object that was there first; ChainError when it went away meanwhile: merged, or retired."""
        try:
            return self._get(path)
        except FileNotFoundError as error:
            raise ChainError(f"object store: {path}: was there and is gone") from error

    def _get(self, path: str) -> bytes:
        return bytes(obstore.get(self._store, path).bytes())


def open_chain(config: Config, environ: Mapping[str, str] = os.environ) -> Chain:
    """The chain of the configuration; raises ConfigError for what can never work. Does not touch the network."""
    return _open(config.chain_url, "chain.url", config.chain, environ)


def open_beside(config: Config, environ: Mapping[str, str] = os.environ) -> Chain:
    """The objects of the snippets, as :func:`open_chain`: a root of its own, for analysts' SQL reads below the chain's.

    A directory is made for this user alone.
    """
    return _open(config.snippets_url, "evidence.snippets.url", config.chain, environ, mode=0o700)


def _open(url: str, setting: str, chain: ChainConfig, environ: Mapping[str, str], mode: int = 0o777) -> Chain:
    if "://" not in url:
        root = Path(url).absolute()
        root.parent.mkdir(parents=True, exist_ok=True)
        root.mkdir(mode=mode, exist_ok=True)
        return Chain(LocalStore(str(root)), root)
    try:
        return Chain(
            from_url(
                url,
                client_options={"allow_http": chain.s3_allow_http, "timeout": "60s"},
                retry_config={"max_retries": chain.retries_max},
                **_s3(url, chain, environ),
            )
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(f"{setting} {url}: {_sentence(error)}") from None


def _s3(url: str, chain: ChainConfig, environ: Mapping[str, str]) -> dict[str, Any]:
    if not url.startswith(("s3://", "s3a://")):
        return {}
    given = {
        "endpoint": chain.s3_endpoint,
        "region": chain.s3_region,
        "access_key_id": chain.s3_access_key_id and chain.s3_access_key_id.read(environ).get_secret_value(),
        "secret_access_key": chain.s3_secret_access_key and chain.s3_secret_access_key.read(environ).get_secret_value(),
    }
    return {name: value for name, value in given.items() if value is not None}


def _plain(stream: Stream, start: int) -> str:
    return f"{stream.path}/{start:020d}.parquet"


def _name(path: str, stream: Stream) -> Object | None:
    name = path.removeprefix(f"{stream.path}/")
    if match := _PLAIN.fullmatch(name):
        return Object(start=int(match[1]), next=None, path=path)
    if match := _MERGED.fullmatch(name):
        return Object(start=int(match[1]), next=int(match[2]), path=path)
    return None  # a leftover of an interrupted put


class _explained:  # noqa: N801 - reads as a statement
    """Turns what the store's client raises into ChainError; absence and conflict keep their own types."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, BaseError | OSError) and not isinstance(error, FileNotFoundError):
            raise ChainError(f"object store: {self._what}: {type(error).__name__}: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    """What the store's client says, without the structures of its own that follow on further lines."""
    return str(error).partition("\n")[0][:500]
