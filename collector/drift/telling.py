"""Drift as metrics: what this process decided is counted, where the log ends is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from collector.drift.log import Head
from collector.drift.record import Detector, Record
from collector.telemetry import Telemetry
from signals.drift.detector import arl_calls, threshold

Place = tuple[str, str, str]  # service, model, side


def count(record: Record, telemetry: Telemetry) -> None:
    """Count a decision; only by the process that made it, or the sum over processes is wrong."""
    for row in record.rows:
        name = row.slice
        telemetry.add("assay_drift_pairs_total", row.pairs, service=name.service, model=name.model, side=name.side)
        for reason, n in row.skipped.items():
            telemetry.add("assay_drift_calls_skipped_total", n, reason=reason)


@dataclass(slots=True)
class Gauges:
    """Shows what the detectors hold; of two encoders the one with the newest calls speaks."""

    telemetry: Telemetry
    _shown: set[Place] = field(default_factory=set)

    def show(self, head: Head, alpha: float) -> None:
        """Set every gauge of drift; slices that are gone disappear."""
        newest: dict[Place, Detector] = {}
        for detector in sorted(head.detectors.values(), key=lambda each: each.seen):
            newest[detector.slice[:3]] = detector
        for place in self._shown - set(newest):
            self._set(place, math.nan, math.nan)
        for place, detector in newest.items():
            self._set(place, detector.log_e, float(detector.alarm_since is not None))
        self._shown = set(newest)
        self.telemetry.set("assay_drift_alarm_threshold", threshold(alpha))
        self.telemetry.set("assay_drift_false_alarm_calls", arl_calls(alpha))
        self.telemetry.set("assay_drift_detectors", len(head.detectors))
        if head.next:
            self.telemetry.set("assay_last_drift_window_timestamp_seconds", head.end)

    def _set(self, place: Place, log_e: float, alarm: float) -> None:
        service, model, side = place
        self.telemetry.set("assay_drift_log_evalue", log_e, service=service, model=model, side=side)
        self.telemetry.set("assay_drift_alarm", alarm, service=service, model=model, side=side)
