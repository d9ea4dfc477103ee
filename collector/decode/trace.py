"""What is remembered of one trace: who is whose parent, its candidates and its retrievals."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.decode.candidate import Candidate, State
from collector.decode.documents import Retrieval, ancestors
from collector.decode.gold import Gold
from collector.records import Partition

_DEPTH_MAX: Final = 128


class Trace(msgspec.Struct, gc=False, eq=False):
    """Mutable, owned by the assembler."""

    touched: float
    calls: dict[str, Candidate]
    others: dict[str, str] | None = None  # other spans -> their parents
    retrievals: dict[str, Retrieval] | None = None
    golds: dict[str, Gold] | None = None  # gold answers, by the span that tells them
    related: tuple[int, int] = (0, 0)  # how many spans and calls the relations below were made of
    outer: dict[str, list[Candidate]] | None = None
    inner: dict[str, list[Candidate]] | None = None

    @property
    def waiting(self) -> bool:
        for candidate in self.calls.values():  # noqa: SIM110 - a generator costs more than the loop, for every trace
            if candidate.state is State.PENDING:
                return True
        return False

    @property
    def size(self) -> int:
        return len(self.calls) + len(self.others or ())

    def add_other(self, span_id: str, parent_id: str) -> None:
        if self.others is None:
            self.others = {}
        self.others[span_id] = parent_id

    def add_retrieval(self, retrieval: Retrieval) -> None:
        if self.retrievals is None:
            self.retrievals = {}
        self.retrievals[retrieval.span_id] = retrieval

    def add_gold(self, span_id: str, gold: Gold) -> None:
        if self.golds is None:
            self.golds = {}
        self.golds[span_id] = gold

    def gold_above(self, candidate: Candidate) -> Gold | None:
        """The gold answer of the item that the candidate names, else of the nearest span above it that has one."""
        if self.golds is None:
            return None
        named = self.golds.get(candidate.item) if candidate.item is not None else None
        above = (
            self.golds[span_id] for span_id in ancestors(candidate.parent_id, self.parent) if span_id in self.golds
        )
        return named or next(above, None)

    def remove_anchored(self, partition: Partition) -> list[Candidate]:
        """Forget the candidates of a partition; returns them."""
        gone = [candidate for candidate in self.calls.values() if candidate.anchor.partition == partition]
        for candidate in gone:
            del self.calls[candidate.span_id]
        self.related = (0, 0)
        return gone

    def parent(self, span_id: str) -> str:
        """The parent of a span, "" where none is known."""
        candidate = self.calls.get(span_id)
        if candidate is not None:
            return candidate.parent_id
        return self.others.get(span_id, "") if self.others is not None else ""

    def above(self, candidate: Candidate) -> list[Candidate]:
        """Candidates that enclose it, nearest first."""
        self._relate()
        return (self.outer or {}).get(candidate.span_id, [])

    def below(self, candidate: Candidate) -> list[Candidate]:
        """Candidates that it encloses."""
        self._relate()
        return (self.inner or {}).get(candidate.span_id, [])

    def _relate(self) -> None:
        seen = (self.size, len(self.calls))
        if seen == self.related:
            return
        self.related = seen
        self.outer, self.inner = {}, {}
        for candidate in self.calls.values():
            span_id = candidate.parent_id
            for _ in range(_DEPTH_MAX):
                if not span_id or span_id == candidate.span_id:
                    break
                outer = self.calls.get(span_id)
                if outer is not None:
                    self.outer.setdefault(candidate.span_id, []).append(outer)
                    self.inner.setdefault(span_id, []).append(candidate)
                span_id = self.parent(span_id)
