"""The choice of a backend: what is set holds, a measurement leaves the default only for a clear gain, and is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from signals.encoder import Encoder
from signals.runtime import choice
from signals.runtime.choice import HOPELESS, MARGIN, ROUNDS, Choice, Chosen, candidates, choose, compare, fastest
from signals.runtime.device import cpu_multiplies_bf16
from signals.runtime.tokens import Ids, Lengths
from signals.runtime.weights import WeightsError
from signals.suite import SuiteOptions, load_suite
from tests.signals.texts import LANGUAGES

HALF, EXACT = Choice(backend="torch", precision="bf16"), Choice(backend="torch", precision="fp32")
OTHER = Choice(backend="openvino", precision="bf16")
PACKS = [(np.arange(9), np.array([4, 5]))]
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra `openvino` is not installed")


class Timed:
    """A model that turns a hand of the clock by what it costs, and points a little off the exact direction."""

    def __init__(self, clock: list[float], seconds: Sequence[float], off: float = 0.0) -> None:
        self.device = torch.device("cpu")
        self._clock, self._seconds, self._off = clock, iter(seconds), off

    def to(self, device: torch.device) -> None:
        self.device = device

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        self._clock[0] += next(self._seconds)
        return torch.tensor([[1.0, self._off]] * len(lengths))


def times(**models: tuple[Sequence[float], float]) -> dict[Choice, float]:
    clock = [0.0]
    named = {"half": HALF, "other": OTHER, "exact": EXACT}
    made = {named[name]: Timed(clock, seconds, off) for name, (seconds, off) in models.items()}
    return compare(made, Timed(clock, [0.0]), PACKS, clock=lambda: clock[0])


def test_each_is_told_by_its_least_turn_after_one_that_is_not_timed() -> None:
    assert times(half=([9, 3, 2, 4], 0), other=([0, 1.5, 5, 5], 0)) == {HALF: 2, OTHER: 1.5}


def test_one_that_is_hopeless_has_a_single_turn() -> None:
    assert times(half=([9, 2, 2, 2], 0), other=([0, 2 * HOPELESS + 1], 0)) == {HALF: 2, OTHER: 2 * HOPELESS + 1}


def test_the_exact_one_is_not_asked_twice_for_its_rows() -> None:
    clock = [0.0]
    exact = Timed(clock, [9, *[1] * ROUNDS])

    assert compare({EXACT: exact}, exact, PACKS, clock=lambda: clock[0]) == {EXACT: 1}


def test_one_that_is_not_exact_has_no_time() -> None:
    assert times(half=([1] * 4, 0.013), other=([1] * 4, 0.015)) == {HALF: 1}  # cosines of .99992 and .99989


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({HALF: 1.0, OTHER: 1.0 / MARGIN + 0.01, EXACT: 2.0}, HALF),
        ({HALF: 1.0, OTHER: 1.0 / MARGIN - 0.01, EXACT: 2.0}, OTHER),
        ({HALF: 1.0, OTHER: 2.0, EXACT: 0.5}, EXACT),
        ({OTHER: 1.0, EXACT: 0.9}, EXACT),
        ({EXACT: 1.0}, EXACT),
    ],
)
def test_the_default_is_left_for_a_clear_gain_or_where_it_is_inexact(
    seconds: Mapping[Choice, float], expected: Choice
) -> None:
    assert fastest([HALF, OTHER, EXACT], seconds).choice == expected


def test_the_reason_tells_the_speed_of_each() -> None:
    chosen = fastest([HALF, OTHER, EXACT], {HALF: 1.0, OTHER: 0.5})

    assert chosen == Chosen(choice=OTHER, reason="measured, in its speed bf16 0.50x, fp32 inexact")


def timing(chosen: Choice) -> Callable[[Sequence[Choice]], Mapping[Choice, float]]:
    """A measurement that finds ``chosen`` ten times as fast as any other."""
    return lambda found: {each: 0.1 if each == chosen else 1.0 for each in found}


def unmeasured(found: Sequence[Choice]) -> Mapping[Choice, float]:
    raise AssertionError("nothing was to be measured")


def test_what_is_set_is_not_measured() -> None:
    chosen = choose(device="cpu", backend="torch", precision="fp32", measure=unmeasured)

    assert chosen.choice == EXACT


def test_a_choice_is_kept_for_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "backend.json"
    first = choose(device="cpu", pinned=file, measure=timing(EXACT))

    again = choose(device="cpu", pinned=file, measure=unmeasured if cpu_multiplies_bf16() else timing(EXACT))

    assert again.choice == first.choice == EXACT


@pytest.mark.parametrize("content", ["", "[]", '{"backend": "torch"}', '{"backend": "abacus", "precision": "bf16"}'])
def test_a_file_that_names_nothing_that_can_run_is_measured_anew(tmp_path: Path, content: str) -> None:
    file = tmp_path / "backend.json"
    file.write_text(content)
    default = candidates("bf16" if cpu_multiplies_bf16() else "fp32", fixed=False)[0]

    assert choose(device="cpu", pinned=file, measure=timing(default)).choice == default


def test_a_fixed_number_format_leaves_no_other() -> None:
    assert {each.precision for each in candidates("bf16", fixed=True)} == {"bf16"}
    assert candidates("bf16", fixed=False)[0] == HALF


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"backend": "abacus"}, "auto, torch or openvino"),
        ({"device": "cuda"}, "no GPU"),
        ({"precision": "int8"}, "int8"),
    ],
)
def test_what_cannot_be_is_a_sentence(options: dict[str, str], told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        choose(**options)


def test_a_backend_that_is_not_installed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # so Python marks a package that cannot be imported

    with pytest.raises(WeightsError, match=r"pip install 'llm-assay\[openvino\]'"):
        choose(device="cpu", backend="openvino")


def test_the_measurement_tells_every_candidate_that_is_exact() -> None:
    found = candidates("bf16" if cpu_multiplies_bf16() else "fp32", fixed=False)

    seconds = choice.measured(found)

    assert found[0] in seconds
    assert all(value > 0 for value in seconds.values())


@needs_openvino
def test_every_score_names_the_backend_that_its_numbers_come_from() -> None:
    suites = [
        load_suite(
            SuiteOptions(enabled=("embedding", "toxicity", "injection"), device="cpu", workers=1, backend=backend)
        )
        for backend in ("torch", "openvino")
    ]

    versions = [{spec.version for spec in suite.specs} | {suite.encoder.version} for suite in suites if suite.encoder]

    assert not versions[0] & versions[1]
    assert all("openvino" in version for version in versions[1])


@needs_openvino
def test_both_backends_see_the_same_meaning() -> None:
    torch_, openvino = (Encoder(device="cpu", backend=backend, workers=2) for backend in ("torch", "openvino"))

    cosines = (torch_.encode(LANGUAGES).mean() * openvino.encode(LANGUAGES).mean()).sum(1)

    assert cosines.min() >= 0.999
    assert openvino.token_states(LANGUAGES[0], 2)[0].shape == torch_.token_states(LANGUAGES[0], 2)[0].shape
