"""One encoder and one suite for all tests of the signals: loading takes seconds, scoring does not change them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from signals.cascade import CascadeOptions
from signals.detoxify import import_checkpoint
from signals.encoder import Encoder
from signals.suite import Suite, SuiteOptions, load_suite
from tests.signals.checkpoints import make_base, make_checkpoint


@pytest.fixture(scope="session")
def suite() -> Iterator[Suite]:
    suite = load_suite(SuiteOptions(device="cpu", workers=2))
    yield suite
    suite.close()


@pytest.fixture(scope="session")
def encoder(suite: Suite) -> Encoder:
    assert suite.encoder is not None
    return suite.encoder


@pytest.fixture(scope="session")
def detoxify_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Detoxify model of random weights, imported."""
    home = tmp_path_factory.mktemp("detoxify")
    base = make_base("bert", home / "base")
    import_checkpoint(make_checkpoint("bert", base, home / "toxic.ckpt"), base, home / "imported")
    return home / "imported"


@pytest.fixture(scope="session")
def detoxify_suite(detoxify_folder: Path) -> Iterator[Suite]:
    """The whole suite with that model in place of the head."""
    suite = load_suite(SuiteOptions(device="cpu", workers=1, detoxify=detoxify_folder))
    yield suite
    suite.close()


@pytest.fixture(scope="session")
def cascade_suite(detoxify_folder: Path) -> Iterator[Suite]:
    """Toxicity alone, by the head and that model."""
    options = SuiteOptions(
        enabled=("toxicity",), device="cpu", workers=1, detoxify=detoxify_folder, cascade=CascadeOptions()
    )
    suite = load_suite(options)
    yield suite
    suite.close()
