"""The card of a head, written from what was measured and never by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SOURCES = {
    "davidson": ("MIT", "github.com/t-davidson/hate-speech-and-offensive-language", "tweets"),
    "surge": ("MIT", "github.com/surge-ai/toxicity", "social media comments"),
    "toxigen_seed": ("MIT", "github.com/microsoft/TOXIGEN", "seed sentences about groups"),
    "openai_mod": ("MIT", "github.com/openai/moderation-api-release", "prompts to a language model"),
    "hatecheck": ("CC-BY-4.0", "github.com/paul-rottger/hatecheck-data", "functional tests of hate detection"),
    "halueval_general": ("MIT", "github.com/RUCAIBox/HaluEval", "requests and answers, taken as harmless"),
    "hard_cases": ("Apache-2.0", "bench/heads/hard_cases.py", "counter-speech, negation, profanity, in pairs"),
    "civil_toxicspans": ("CC0-1.0", "github.com/ipavlopoulos/toxic_spans", "news comments, by their share of raters"),
}

_HEAD = """# toxicity, version 3

A logistic regression on the means of layers {taps} that the shared MiniLM encoder gives for each window of 256 tokens
(0 is the words alone). The score of a text is that of its worst window, or where it was disguised of its worst reading.
It is the embedded default where no Detoxify model was imported (`assay import-detoxify`), and the first stage of the
cascade where one was (`signals.cascade`).

Weights: `toxicity-v3.safetensors`, sha256 `{sha256}`, fitted on `{encoder}`.
Seed {seed}, L2 {l2}, weight of the harmless traffic {clean_weight}, of the hard cases {hard_weight}, of the rated
comments {rated_weight}; Apache-2.0, as the rest of Assay.
Retrain: `python -m bench.heads.train_toxicity --data FOLDER` (it writes weights, numbers and this card; the encoder
and seed fixed, it gives the same weights on the same kind of CPU).

## Data
| set | licence | source | what | fit | calibrate | validate |
|---|---|---|---|---|---|---|
"""

_MEASURED = """
Not fitted on: wikitalk and stormfront (share-alike text). The comments of civil_toxicspans were all pre-filtered as
toxic, and their raters hardly agree (Krippendorff's alpha .11): the fit aims at the share of raters who found something
toxic, and neither calibration nor the pooled numbers know them. Rows are split by a hash of the text inside the
development data.

## Measured
"Validation" rows were seen by neither fit nor calibration. "Left out whole" refits without any row of that set: what
to expect on traffic unlike the training sets. Intervals: 95%, 1,000 resamples of rows. All of it is the head alone,
before the halving for other languages than English.

| on | rows | toxic | AUROC | interval | average precision | calibration error | recall at .5 | harmless flagged at .5 |
|---|---|---|---|---|---|---|---|---|
"""

_LIMITS = """
On {n} harmless requests and answers of assistants that neither fit nor calibration saw, {half:.2%} score above .5 and
{high:.2%} above .8.

The probability is calibrated to the mixture of the sets above, which is far more toxic than ordinary traffic: read .5
as "as likely as not among texts like these", and set alert thresholds on rates, not on single calls.

`python -m bench.heads.compare` judges it beside heads 1 and 2, a hidden layer and two ways of fitting that even out the
sets; `bench/heads/toxicity-v3.compared.md` is what it printed, with the differences and their intervals.

## As the first stage of the cascade
Thresholds keep the recall over the toxic calibration rows of the fitted sets, row by row. On traffic unlike them recall
is another: that is what the cascade's live recall is for. "Sent" is the share of the harmless validation traffic above.

| recall | threshold | harmless sent to the full model |
|---|---|---|
{cascade}
## Where it fails
HateCheck, share of right verdicts at .5 on the validation rows, worst first: {worst}.

English only: a text that the language identifier is sure is another language gets half its probability, so that it
never warns at .5; import Detoxify's multilingual model for such texts. A short insult in a long window of calm words
is diluted by their mean. It judges tone and topic of a passage, not who says it to whom: counter-speech, quotes,
reclaimed words and talk *about* violence or hatred are often scored as toxic. Labels of the sets disagree with each
other about what toxic means (any moderated category in openai_mod, offensive words in davidson).
"""


def write_card(facts: dict[str, Any], path: Path) -> None:
    """Render ``facts`` (the JSON beside it) as a page for people."""
    rows = "".join(
        f"| {name} | {_SOURCES[name][0]} | {_SOURCES[name][1]} | {_SOURCES[name][2]} "
        f"| {part['fit']} | {part['calibrate']} | {part['validate']} |\n"
        for name, part in facts["rows"].items()
    )
    measured = "".join(
        f"| {name} | {m['n']} | {m['toxic']} | {m['auroc']:.3f} | {m['interval'][0]:.3f} – {m['interval'][1]:.3f} "
        f"| {m['average_precision']:.3f} | {m['calibration_error']:.3f} | {m['recall_at_0.5']:.3f} "
        f"| {m['flagged_harmless_at_0.5']:.3f} |\n"
        for name, m in facts["measured"].items()
    )
    worst = ", ".join(
        f"{kind} {share:.0%}" for kind, share in sorted(facts["hatecheck"].items(), key=lambda x: x[1])[:8]
    )
    clean = facts["clean_traffic"]
    limits = _LIMITS.format(
        n=clean["n"],
        half=clean["flagged_at_0.5"],
        high=clean["flagged_at_0.8"],
        worst=worst,
        cascade="".join(
            f"| {stage['recall_percent']}% | {stage['threshold']:.4f} | {stage['clean_sent']:.2%} |\n"
            for stage in facts["cascade"]
        ),
    )
    head = _HEAD.format(**{**facts, "taps": ", ".join(map(str, facts["taps"]))})
    path.write_text(head + rows + _MEASURED + measured + limits, encoding="utf-8")
