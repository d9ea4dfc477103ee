"""Loading a suite, and keeping one signal's failure to itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from signals.batch import Batch
from signals.suite import SIGNALS, Suite, SuiteError, SuiteOptions, load_suite
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

EXCHANGE = Exchange(input="Where is my parcel?", output="It was sent on Monday.", context="Sent on Monday.")


class Broken:
    """A signal that raises on every batch."""

    name = "broken"
    specs = (ScoreSpec(signal="broken", side=Side.OUTPUT, version="1"),)
    costly = False

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        raise ZeroDivisionError

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:
        return ()


class Numberless(Broken):
    """A signal whose model answers with no number for the second of three texts, and with half a vector."""

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        values = np.array([0.25, np.nan, 1.0], dtype=np.float32)
        return (ScoreColumn(spec=self.specs[0], values=values, abstentions=np.zeros(3, dtype=np.uint8)),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:
        vectors = np.array([[1, 0], [np.inf, 0], [0, 1]], dtype=np.float32)
        return (Embeddings(side=Side.OUTPUT, version="1", vectors=vectors, present=np.ones(3, dtype=np.bool_)),)


def test_the_order_of_columns_is_that_of_the_registry_whatever_the_order_asked_for() -> None:
    suite = load_suite(SuiteOptions(enabled=("degeneration", "context_novelty")))

    assert [spec.column for spec in suite.specs] == ["context_novelty_output", "degeneration_output"]


def test_the_default_suite_has_the_documented_columns(suite: Suite) -> None:
    assert [spec.column for spec in suite.specs] == [
        "toxicity_input",
        "toxicity_output",
        "context_novelty_output",
        "number_mismatch_output",
        "negation_flip_output",
        "entity_mismatch_output",
        "citation_missing_output",
        "citation_unsupported_output",
        "unsupported_claims_output",
        "documents_unused_output",
        "degeneration_output",
        "injection_input",
        "context_injection_input",
        "pii_input",
        "pii_output",
        "refusal_output",
        "format_output",
        "relevance_output",
        "disagreement_output",
        "perplexity_output",
        "low_confidence_output",
        "language_output",
        "reference_exact_output",
        "reference_f1_output",
        "reference_rouge_l_output",
        "reference_chrf_output",
        "reference_bertscore_output",
    ]
    assert {found.side for found in suite.score([EXCHANGE]).embeddings} == {Side.INPUT, Side.OUTPUT}


def test_an_answer_that_is_no_number_is_a_failure_of_its_text_alone() -> None:
    scores = Suite([Numberless()], None).score([EXCHANGE] * 3)

    assert scores.failures == {"broken": "NotANumber"}
    assert scores.columns[0].abstentions.tolist() == [Abstention.NONE, Abstention.FAILED, Abstention.NONE]
    assert scores.embeddings[0].present.tolist() == [True, False, True]
    assert np.isfinite(scores.embeddings[0].vectors).all()


def test_a_signal_that_raises_abstains_with_failed_and_the_others_score(suite: Suite) -> None:
    cheap = load_suite(SuiteOptions(enabled=("degeneration",)))
    mixed = Suite([Broken(), *cheap._signals], None)

    scores = mixed.score([EXCHANGE, Exchange(input="only a question")])

    assert scores.failures == {"broken": "ZeroDivisionError"}
    assert scores.columns[0].abstentions.tolist() == [Abstention.FAILED, Abstention.NO_TEXT]
    assert np.isnan(scores.columns[0].values).all()
    assert scores.columns[1].values[0] == 0
    assert set(scores.seconds) == {"broken", "degeneration"}


def test_without_its_encoder_every_signal_that_stands_on_it_fails_and_the_cheap_ones_score(suite: Suite) -> None:
    class Gone:
        counts, runner = suite.encoder.counts, suite.encoder.runner

        def encode(self, texts):
            raise RuntimeError("device lost")

    scores = Suite(suite._signals, Gone()).score([EXCHANGE])

    assert set(scores.failures) == {"toxicity", "embedding", "injection", "relevance"}
    assert scores.embeddings == ()
    failed = {found.spec.signal for found in scores.columns if found.abstentions[0] == Abstention.FAILED}
    assert failed == {"toxicity", "injection", "context_injection", "relevance"}


def test_each_distinct_text_is_encoded_once_for_all_who_ask(suite: Suite) -> None:
    batch = [
        Exchange(input="a text of both sides, seen here alone", output="a text of both sides, seen here alone")
    ] * 5

    first, second = suite.score(batch), suite.score(batch)

    assert (first.counts["encoder_texts"], first.counts["encoder_cache_hits"]) == (1, 0)
    assert (second.counts["encoder_texts"], second.counts["encoder_cache_hits"]) == (1, 1)
    assert second.counts["encoder_tokens"] == 0


def test_an_unknown_signal_is_named_with_those_that_exist() -> None:
    with pytest.raises(SuiteError, match=r"no signal is called toxic; there are toxicity, "):
        load_suite(SuiteOptions(enabled=("toxic",)))


@pytest.mark.parametrize("options", [SuiteOptions(device="tpu"), SuiteOptions(precision="int8")])
def test_an_impossible_option_is_a_sentence(options: SuiteOptions) -> None:
    with pytest.raises(SuiteError, match="must be"):
        load_suite(options)


def test_a_shed_mask_of_another_length_is_a_broken_promise(suite: Suite) -> None:
    with pytest.raises(ValueError, match="speaks of 2"):
        suite.score([EXCHANGE], np.zeros(2, dtype=np.bool_))


def test_importing_signals_and_the_cheap_suite_brings_no_torch() -> None:
    code = (
        "import sys, signals.types, signals.suite, signals.embedding\n"
        "signals.suite.load_suite(signals.suite.SuiteOptions(enabled=('degeneration', 'context_novelty')))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_signals_imports_nothing_of_the_collector() -> None:
    modules = "signals.suite, signals.offline, signals.detoxify, signals.toxicity, signals.embedding"
    code = f"import sys, {modules}\nassert not [name for name in sys.modules if name.startswith('collector')]"

    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_every_signal_of_the_registry_can_be_loaded_alone() -> None:
    for name in SIGNALS.keys() - {"nli"}:  # its model has to be named
        suite = load_suite(SuiteOptions(enabled=(name,), device="cpu", workers=1))

        assert not suite.score([EXCHANGE]).failures
        suite.close()
