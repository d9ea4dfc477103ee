"""The settings of what is judged and how: signals, the cascade, overload, baselines and drift."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from collector.config.base import (
    Count,
    ExistingDirectory,
    Seconds,
)
from collector.config.base import Section as _Section


class CascadeConfig(_Section):
    recall_percent: Literal[90, 95, 99] = 95
    """Share of toxic texts that the light head must send on; its threshold for each stands in its card."""
    recall_min: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Where live recall is provably below, the full model reads everything until it is back."""
    bypass_one_in: Annotated[int, Field(ge=2, le=1_000)] = 50
    """One in so many of the texts that the head clears is read by the full model all the same."""
    salt: str = "assay"
    """Decides which; the same for a fleet."""

    @model_validator(mode="after")
    def _rising(self) -> CascadeConfig:
        if self.recall_min > self.recall_percent / 100:
            raise ValueError("recall_min <= recall_percent / 100 must hold")
        return self


class SignalsConfig(_Section):
    enabled: tuple[str, ...] | None = None
    """Names of signals; none: all."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: CUDA where there is one."""
    backend: Literal["auto", "torch", "openvino"] = "auto"
    """On a CPU; `openvino` needs the extra. `auto` measures once and keeps its choice in `data`; a fleet names one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Number format of the models. `auto`: bf16 where the hardware multiplies it; a mixed fleet names one."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """CPU encoder workers; 0: one a core."""
    batch_calls_max: Annotated[int, Field(ge=1, le=8_192)] = 256
    """Calls that are scored together; a shutdown waits for the batch at hand."""
    detoxify: ExistingDirectory | None = None
    """A directory made by `assay import-detoxify`."""
    nli: ExistingDirectory | None = None
    """A directory with an entailment model and its SHA256SUMS, for flagged answers."""
    cascade: CascadeConfig | None = None
    """The light head clears what it can, and `detoxify` reads the rest."""
    warn_at: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A score above counts as a warning."""
    critical_at: Annotated[float, Field(ge=0, le=1)] = 0.8
    """… and above as critical."""

    @model_validator(mode="after")
    def _cascade_ends_in_a_model(self) -> SignalsConfig:
        if self.cascade is not None and self.detoxify is None:
            raise ValueError("cascade needs detoxify: a directory made by `assay import-detoxify`")
        return self

    @model_validator(mode="after")
    def _rising(self) -> SignalsConfig:
        if self.warn_at > self.critical_at:
            raise ValueError("warn_at <= critical_at must hold")
        return self


class OverloadConfig(_Section):
    lag_seconds_max: Seconds | None = None
    """Further behind than this, costly signals leave traces out; none: never, every call waits its turn."""
    drain_seconds: Seconds = 3_600.0
    """A lag that will be gone within this at its present pace sheds no more."""
    step_seconds: Seconds = 60.0
    """Time between two steps up."""
    calm_seconds: Seconds = 300.0
    """Calm (a fifth of the lag) before a step down; doubled, up to six hours, after one that failed."""
    keep_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of the traces that every signal scores at any level."""


class BaselineConfig(_Section):
    current_minutes: Annotated[int, Field(ge=10, le=1_440)] = 30
    """Length of the current window of the embedding centroid."""
    baseline_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """Length of the window before it, which it is compared with."""
    calls_min: Count = 50
    """Fewer calls in a window: no distance."""


class DriftConfig(_Section):
    enabled: bool = True
    """Keep a sketch of 64 bytes of every text in the chain, and watch for drift."""
    alpha: Annotated[float, Field(ge=2e-6, le=0.1)] = 1e-4
    """A detector raises at most one false alarm in `20 / alpha` paired calls on average."""
    window_seconds: Seconds = 60.0
    """How often the detectors take in what was counted, by the log's time."""
    grace_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How long after its end a window is closed; what comes later counts in the next one."""
    reference_days: Annotated[int, Field(ge=1, le=28)] = 7
    """How far back the calls may lie that today's are paired with: same hour and weekday, else same kind of day."""
    recent_gap_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """On the first day pair with calls of the last 24 hours that are older than this; none: wait for a day."""
    pairs_max: Annotated[int, Field(ge=20, le=10_000)] = 100
    """Pairs of a slice (service, model, side) in a window; further calls are counted as `capped`."""
    slices_max: Annotated[int, Field(ge=1, le=2_000)] = 100
    """Detectors; calls of further slices are counted as `slices`."""
    topics_from: Annotated[float, Field(ge=0)] = 3.0
    """From this log e-value on, topics that grew and shrank are looked up."""
