"""Which topics a Kafka source reads, and what their records hold."""

from __future__ import annotations

import re
from dataclasses import dataclass

from collector.config import KafkaConfig
from collector.records import Kind


@dataclass(frozen=True, slots=True)
class Topics:
    """The configured names and patterns. A topic that both kinds match holds traces."""

    traces: tuple[str, ...] | str
    logs: tuple[str, ...] | str

    @classmethod
    def of(cls, config: KafkaConfig) -> Topics:
        return cls(config.traces_topics, config.logs_topics)

    def kind(self, topic: str) -> Kind | None:
        """None: not one of ours."""
        if _matches(self.traces, topic):
            return Kind.TRACES
        return Kind.LOGS if _matches(self.logs, topic) else None

    @property
    def names(self) -> tuple[str, ...]:
        """The topics that are written out in the configuration."""
        return tuple(
            dict.fromkeys(name for names in (self.traces, self.logs) if not isinstance(names, str) for name in names)
        )

    @property
    def patterns(self) -> tuple[str, ...]:
        """Regular expressions; each has to match a whole name."""
        return tuple(pattern for pattern in (self.traces, self.logs) if isinstance(pattern, str) and pattern)

    @property
    def pattern(self) -> str:
        """One regular expression for all of it."""
        return "|".join(
            [*(f"{re.escape(name)}\\Z" for name in self.names), *(f"(?:{each})\\Z" for each in self.patterns)]
        )


def _matches(names: tuple[str, ...] | str, topic: str) -> bool:
    if isinstance(names, str):
        return bool(names) and re.fullmatch(names, topic) is not None
    return topic in names
