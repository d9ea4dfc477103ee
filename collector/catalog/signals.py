"""The quality signals as the outside sees them."""

from __future__ import annotations

from dataclasses import dataclass

from signals.types import Side


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """A quality signal as the outside sees it; the name is that of its ScoreSpec."""

    name: str
    sides: tuple[Side, ...]
    help: str  # what 1 means
    cue: bool = False  # a reason to look, never alone an alert

    @property
    def metric(self) -> str:
        return f"assay_{self.name}_score"


_BOTH = (Side.INPUT, Side.OUTPUT)


SIGNALS: tuple[SignalEntry, ...] = (
    SignalEntry("toxicity", _BOTH, "Toxicity of the text: 0 harmless, 1 certainly toxic."),
    SignalEntry("severe_toxicity", _BOTH, "Severe toxicity of the text; only with an imported Detoxify model."),
    SignalEntry("obscene", _BOTH, "Obscenity of the text; only with an imported Detoxify model."),
    SignalEntry("threat", _BOTH, "How much the text threatens; only with an imported Detoxify model."),
    SignalEntry("insult", _BOTH, "How much the text insults; only with an imported Detoxify model."),
    SignalEntry("identity_attack", _BOTH, "Hate of a group in the text; only with an imported Detoxify model."),
    SignalEntry(
        "sexual_explicit",
        _BOTH,
        "Sexually explicit language; only with Detoxify's `unbiased` or `multilingual` imported.",
    ),
    SignalEntry(
        "context_novelty",
        (Side.OUTPUT,),
        "Share of the answer's words and word pairs that its context does not hold: 0 grounded, 1 all new.",
    ),
    SignalEntry(
        "number_mismatch",
        (Side.OUTPUT,),
        "Share of the answer's numbers that neither context nor question holds.",
        cue=True,
    ),
    SignalEntry(
        "negation_flip",
        (Side.OUTPUT,),
        "How much one of answer and context negates what the other does not; a cue.",
        cue=True,
    ),
    SignalEntry(
        "entity_mismatch",
        (Side.OUTPUT,),
        "Share of the answer's names that neither context nor question holds.",
        cue=True,
    ),
    SignalEntry("citation_missing", (Side.OUTPUT,), "Share of the answer's citations that lead to no document."),
    SignalEntry(
        "citation_unsupported", (Side.OUTPUT,), "Share of cited documents that do not hold what the sentence says."
    ),
    SignalEntry(
        "unsupported_claims", (Side.OUTPUT,), "Share of the answer's sentences that no single document supports."
    ),
    SignalEntry(
        "documents_unused",
        (Side.OUTPUT,),
        "Share of the five best retrieved documents that the answer has nothing from: 1 - Precision@5.",
        cue=True,
    ),
    SignalEntry(
        "contradiction", (Side.OUTPUT,), "Probability that the context contradicts a flagged answer, by `signals.nli`."
    ),
    SignalEntry(
        "unsupported",
        (Side.OUTPUT,),
        "Probability that the context does not support a flagged answer, by `signals.nli`.",
    ),
    SignalEntry("degeneration", (Side.OUTPUT,), "How broken the answer is: 1 when empty, cut off or repeating itself."),
    SignalEntry("injection", (Side.INPUT,), "How much the question tries to take the model over: 1 an attack."),
    SignalEntry("pii", _BOTH, "Gravest personal data in the text: 0.55 contact, 0.9 identity, 1 secret."),
    SignalEntry("refusal", (Side.OUTPUT,), "How much the answer declines: 0.45 does not know, 1 refuses."),
    SignalEntry("language", (Side.OUTPUT,), "Probability that the answer speaks another language than the question."),
    SignalEntry("format", (Side.OUTPUT,), "How far the answer is from the JSON or the tool call that was asked for."),
    SignalEntry("relevance", (Side.OUTPUT,), "How far the answer is from the topic of the question: 1 something else."),
    SignalEntry("disagreement", (Side.OUTPUT,), "How much several answers to one request differ from each other."),
    SignalEntry("perplexity", (Side.OUTPUT,), "How unsure the model was of its words: 1 - 1 / perplexity."),
    SignalEntry("low_confidence", (Side.OUTPUT,), "Share of tokens that the model gave less than a half."),
    SignalEntry("reference_exact", (Side.OUTPUT,), "1 where the answer is not the reference, normalised."),
    SignalEntry("reference_f1", (Side.OUTPUT,), "Distance from the reference by shared words: 1 - token F1."),
    SignalEntry("reference_rouge_l", (Side.OUTPUT,), "Distance from the reference by words in order: 1 - ROUGE-L."),
    SignalEntry("reference_chrf", (Side.OUTPUT,), "Distance from the reference by letters: 1 - chrF."),
    SignalEntry("reference_bertscore", (Side.OUTPUT,), "Distance from the reference by meaning: 1 - BERTScore F1."),
    SignalEntry("context_injection", (Side.INPUT,), "How much the context holds orders to the model: 1 an attack."),
)
