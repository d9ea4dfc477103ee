"""The slot for a model of entailment: what it runs on, what it refuses, how labels choose the column.

The weights are random: that proves files, labels, pairs and arithmetic, and nothing about how well a model judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from collector.cli import main
from signals.batch import Batch
from signals.groundedness.nli import FILES, PASSAGE_CHARS, Nli
from signals.runtime.weights import WeightsError, file_sha256
from signals.suite import SuiteError, SuiteOptions, load_suite
from signals.types import Abstention, Exchange
from tests.signals.checkpoints import make_base
from tests.signals.texts import LANGUAGES, ODD

NLI_LABELS = ("entailment", "neutral", "contradiction")
CONTEXT = "The warranty of the kettle lasts two years. It covers the heating element and the lid."
COPY = Exchange(output="The warranty of the kettle lasts two years.", context=CONTEXT)
INVENTED = Exchange(output="Your toaster enjoys protection against theft. It lasts 40 years.", context=CONTEXT)


def make_model(folder: Path, kind: str = "bert", task: str = "SequenceClassification", labels=NLI_LABELS) -> Path:
    """A folder as the card asks for it, with random weights."""
    make_base(kind, folder)
    family = getattr(transformers, f"{'Bert' if kind == 'bert' else 'Roberta'}For{task}")
    config = family.config_class.from_pretrained(folder)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: at for at, label in config.id2label.items()}
    torch.manual_seed(3)
    model = family(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    config.architectures = [family.__name__]
    (folder / "config.json").write_text(config.to_json_string(use_diff=False), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    return seal(folder)


def seal(folder: Path) -> Path:
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in FILES]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("nli") / "model")


@pytest.fixture(scope="module")
def nli(folder: Path) -> Iterator[Nli]:
    model = Nli(folder, device="cpu", precision="fp32", workers=1)
    yield model
    model.close()


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_pair_is_judged_as_transformers_judges_it(kind: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", kind)
    model = Nli(folder, device="cpu", precision="fp32", workers=1)
    reference = transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    pairs = [(CONTEXT, "It covers theft."), ("short", "the quick brown fox"), (LANGUAGES[1], LANGUAGES[2])]

    found = model.judge(pairs)

    for pair, value in zip(pairs, found.tolist(), strict=True):
        encoded = tokenizer(*pair, return_tensors="pt", return_token_type_ids=kind == "bert")
        with torch.no_grad():
            expected = reference(**encoded).logits.softmax(-1)[0, 2]
        assert value == pytest.approx(float(expected), abs=1e-5)
    model.close()


def test_only_flagged_answers_are_read(nli: Nli) -> None:
    batch = [COPY, INVENTED, Exchange(output="It never covers the lid.", context=CONTEXT), Exchange(output="Yes!")]

    (column,) = nli.score(Batch(batch, None, None))

    assert column.spec.signal == "contradiction"
    assert column.abstentions.tolist() == [
        Abstention.NOT_APPLICABLE,
        Abstention.NONE,
        Abstention.NONE,
        Abstention.NO_CONTEXT,
    ]


def test_the_worst_sentence_is_the_score(nli: Nli) -> None:
    (column,) = nli.score(Batch([INVENTED], None, None))

    sentences = ["Your toaster enjoys protection against theft.", "It lasts 40 years."]
    assert column.values[0] == pytest.approx(nli.judge([(CONTEXT, sentence) for sentence in sentences]).max(), abs=1e-6)


def test_a_sentence_meets_the_passage_that_speaks_of_it(nli: Nli) -> None:
    filler = " ".join(f"Filler number {n} says nothing." for n in range(200))
    answer = "The lid is covered against theft by pirates abroad."
    asked: list[tuple[str, str]] = []

    class Listening(Nli):
        def __init__(self) -> None:
            self.specs = nli.specs

        def judge(self, pairs):
            asked.extend(pairs)
            return np.zeros(len(pairs), dtype=np.float32)

    Listening().score(Batch([Exchange(output=answer, context=f"{filler} {CONTEXT} {filler}")], None, None))

    ((passage, sentence),) = asked
    assert sentence == answer
    assert "the lid" in passage
    assert len(passage) <= PASSAGE_CHARS + 1


def test_shed_calls_are_not_read(nli: Nli) -> None:
    (column,) = nli.score(Batch([INVENTED, COPY], np.array([True, False]), None))

    assert column.abstentions.tolist() == [Abstention.SHED, Abstention.NOT_APPLICABLE]


@pytest.mark.parametrize(
    ("task", "labels", "signal"),
    [
        ("SequenceClassification", ("contradiction", "entailment"), "contradiction"),
        ("SequenceClassification", ("entailment", "not_entailment"), "unsupported"),
        ("SequenceClassification", ("consistent", "other"), "unsupported"),
        ("TokenClassification", ("supported", "hallucinated"), "unsupported"),
    ],
)
def test_labels_choose_the_column(task: str, labels: tuple[str, ...], signal: str, tmp_path: Path) -> None:
    model = Nli(make_model(tmp_path / "model", task=task, labels=labels), device="cpu", workers=1)

    (column,) = model.score(Batch([INVENTED], None, None))

    assert column.spec.signal == signal
    assert len(column.spec.weights) == 8
    assert 0 <= column.values[0] <= 1
    model.close()


def test_the_whole_suite_with_a_model_scores_any_text_alone_as_in_a_batch(folder: Path) -> None:
    suite = load_suite(SuiteOptions(enabled=("context_novelty", "nli"), device="cpu", workers=1, nli=folder))
    batch = [Exchange(output=text, context=CONTEXT) for text in (*LANGUAGES, *ODD, "word " * 900)]

    together = suite.score(batch)
    alone = [suite.score([exchange]).columns[1] for exchange in batch]

    assert not together.failures
    found = together.columns[1]
    assert found.abstentions.tolist() == [int(single.abstentions[0]) for single in alone]
    assert np.allclose(found.values, [single.values[0] for single in alone], atol=0.02, equal_nan=True)
    suite.close()


def test_without_a_folder_the_default_suite_has_no_such_signal() -> None:
    with pytest.raises(SuiteError, match=r"signals\.nli"):
        load_suite(SuiteOptions(enabled=("nli",)))


def _no_sums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def _other_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"x")


def _other_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    (folder / "config.json").write_text(json.dumps(config))
    seal(folder)


def _other_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["BertForMaskedLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    seal(folder)


def _broken_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"x")
    seal(folder)


def _fewer_weights(folder: Path) -> None:
    save_file({"classifier.bias": torch.zeros(3)}, folder / "model.safetensors")
    seal(folder)


def _broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    seal(folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_no_sums, "SHA256SUMS"),
        (_other_weights, "not the file"),
        (_other_labels, "id2label"),
        (_other_architecture, "architecture"),
        (_broken_weights, "weights"),
        (_fewer_weights, "lacks"),
        (_broken_tokenizer, "tokenizer.json"),
    ],
)
def test_a_folder_that_is_not_whole_is_one_sentence(damage, says: str, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    damage(folder)

    with pytest.raises(WeightsError, match=says):
        Nli(folder, device="cpu", workers=1)


def test_a_missing_folder_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"output": "a"}\n')
    arguments = [
        "score",
        str(rows),
        "--output",
        str(tmp_path / "out.jsonl"),
        "--signals",
        "nli",
        "--nli",
        str(tmp_path),
    ]

    assert main(arguments) == 2
    assert "SHA256SUMS" in capsys.readouterr().err
