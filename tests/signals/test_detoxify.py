"""Detoxify: what the import keeps, what it refuses, and that the folder answers as the package does.

The weights here are random, of the published architectures in small. That proves the arithmetic, the tokenisers, the
label order and the files; it proves nothing about how well the published weights judge, or how they bear bfloat16.
"""

from __future__ import annotations

import json
import pickle
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from collector.cli import main
from signals.detoxify import FILES, DetoxifyModel, import_checkpoint
from signals.runtime.classifier import PackedClassifier, packs
from signals.runtime.weights import WeightsError
from signals.suite import SuiteError, SuiteOptions, load_suite
from signals.types import Exchange, Side
from tests.signals.checkpoints import KINDS, make_base, make_checkpoint
from tests.signals.texts import LANGUAGES, ODD

TEXTS = [*LANGUAGES, "You are an idiot.", "short", "the quick brown fox jumps over the lazy dog " * 3, "a <pad> b"]


BACKENDS = [
    "torch",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(find_spec("openvino") is None, reason="the extra `openvino` is not installed"),
    ),
]


@pytest.fixture(scope="module", params=sorted(KINDS))
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path, Path]:
    home = tmp_path_factory.mktemp(request.param)
    base = make_base(request.param, home / "base")
    checkpoint = make_checkpoint(request.param, base, home / "toxic.ckpt")
    import_checkpoint(checkpoint, base, home / "imported")
    return request.param, base, checkpoint, home / "imported"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = make_base("bert", tmp_path / "base")
    import_checkpoint(make_checkpoint("bert", base, tmp_path / "toxic.ckpt"), base, tmp_path / "imported")
    return tmp_path / "imported"


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_folder_answers_as_the_package_does(imported: tuple[str, Path, Path, Path], backend: str) -> None:
    from detoxify import Detoxify

    kind, base, checkpoint, folder = imported
    model = DetoxifyModel(folder, device="cpu", precision="fp32", backend=backend, workers=1)
    reference = Detoxify(checkpoint=str(make_checkpoint(kind, base, checkpoint.with_name("local.ckpt"), str(base))))

    expected = [reference.predict(text) for text in TEXTS]
    found = model.predict(TEXTS)

    assert list(expected[0]) == list(model.labels)
    assert np.abs(found - np.array([list(row.values()) for row in expected])).max() < 1e-5
    model.close()


def test_half_precision_stays_near(imported: tuple[str, Path, Path, Path]) -> None:
    exact = DetoxifyModel(imported[3], device="cpu", precision="fp32", workers=1)
    half = DetoxifyModel(imported[3], device="cpu", precision="bf16", workers=1)

    assert np.abs(exact.predict(TEXTS) - half.predict(TEXTS)).max() < 2e-2
    assert exact.version.endswith("-packed-fp32")  # the plain model's numbers differ in the last digits
    assert half.version.endswith("-packed-bf16")


def test_company_and_memory_change_nothing(imported: tuple[str, Path, Path, Path]) -> None:
    model = DetoxifyModel(imported[3], device="cpu", precision="fp32", workers=2)

    alone = np.concatenate([DetoxifyModel(imported[3], precision="fp32", workers=1).predict([text]) for text in TEXTS])
    together = model.predict(TEXTS + TEXTS)

    assert np.allclose(np.concatenate([alone, alone]), together, atol=1e-6)
    assert (model.predict(TEXTS) == together[: len(TEXTS)]).all()
    assert model.predict([]).shape == (0, len(model.labels))


def test_any_text_has_probabilities(imported: tuple[str, Path, Path, Path]) -> None:
    found = DetoxifyModel(imported[3], device="cpu", workers=1).predict(["", *ODD, "word " * 3_000])

    assert ((found >= 0) & (found <= 1)).all()


def test_the_manifest_keeps_every_label_by_its_common_name(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())

    assert manifest["labels"] == ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"]
    assert sorted(manifest["sha256"]) == sorted(FILES)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "manifest.json"])


def test_in_a_suite_every_label_stands_on_both_sides_and_the_version_says_so(folder: Path) -> None:
    suite = load_suite(SuiteOptions(enabled=("toxicity",), detoxify=folder, device="cpu", workers=1))

    labels = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
    assert [spec.column for spec in suite.specs] == [f"{label}_{side}" for label in labels for side in Side]
    assert all(spec.version.startswith("detoxify-") and spec.weights for spec in suite.specs)
    assert not suite.score([Exchange(input="a", output="b")]).failures
    suite.close()


@pytest.mark.parametrize("name", FILES)
def test_a_tampered_file_is_refused_by_name(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes() + b" ")

    with pytest.raises(SuiteError, match=rf"{name} is not the file that was imported"):
        load_suite(SuiteOptions(enabled=("toxicity",), detoxify=folder, device="cpu"))


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_refused_with_advice(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(WeightsError, match=rf"{name}.*import-detoxify"):
        DetoxifyModel(folder)


class Payload:
    """Pickled, it would write a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    torch.save({"config": Payload(trap), "state_dict": {}}, tmp_path / "evil.ckpt")

    with pytest.raises(WeightsError, match="without running code"):
        import_checkpoint(tmp_path / "evil.ckpt", tmp_path, tmp_path / "out")
    assert not trap.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", pickle.dumps({"a": 1})],
)
def test_a_file_that_is_no_checkpoint_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "toxic.ckpt").write_bytes(content)

    with pytest.raises(WeightsError, match=r"toxic\.ckpt"):
        import_checkpoint(tmp_path / "toxic.ckpt", tmp_path, tmp_path / "out")


def test_the_weights_of_another_base_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    bert, roberta = make_base("bert", tmp_path / "bert"), make_base("roberta", tmp_path / "roberta")
    checkpoint = make_checkpoint("bert", bert, tmp_path / "toxic.ckpt")

    with pytest.raises(WeightsError, match="another base"):
        import_checkpoint(checkpoint, roberta, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_something_is_left_alone(folder: Path) -> None:
    with pytest.raises(WeightsError, match="not empty"):
        import_checkpoint(folder, folder, folder)


def test_the_command_imports_and_says_what_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = make_base("bert", tmp_path / "base")
    checkpoint = make_checkpoint("bert", base, tmp_path / "toxic.ckpt")
    arguments = ["import-detoxify", str(checkpoint), "--base", str(base), "--output", str(tmp_path / "out")]

    assert main(arguments) == 0
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert "signals.detoxify" in printed.out
    assert "not empty" in printed.err


def test_a_label_that_no_metric_has_is_refused_by_name(tmp_path: Path) -> None:
    base = make_base("bert", tmp_path / "base")
    checkpoint = make_checkpoint("bert", base, tmp_path / "toxic.ckpt")
    loaded = torch.load(checkpoint, weights_only=True)
    loaded["config"]["dataset"]["args"]["classes"][1] = "sarcasm"
    torch.save(loaded, checkpoint)

    with pytest.raises(WeightsError, match="no Detoxify label: sarcasm"):
        import_checkpoint(checkpoint, base, tmp_path / "out")


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"is_decoder": True}, {"model_type": "albert"}])
def test_a_model_of_another_shape_is_left_to_transformers(folder: Path, change: dict[str, Any]) -> None:
    config = transformers.BertConfig.from_json_file(str(folder / "config.json"))
    assert packs(config)

    assert not packs(types.SimpleNamespace(**(config.to_dict() | change)))


def test_a_packed_model_that_comes_back_from_a_device_answers_as_before(imported: tuple[str, Path, Path, Path]) -> None:
    model = DetoxifyModel(imported[3], device="cpu", workers=1, cache_bytes_max=0)
    expected = model.predict(TEXTS)

    model.runner._backend.to(torch.device("meta"))
    model.runner._backend.to(torch.device("cpu"))

    assert isinstance(model.runner._backend, PackedClassifier)
    assert (model.predict(TEXTS) == expected).all()
