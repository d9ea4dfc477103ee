"""Snippets are off, bounded, apart from the chain, and never kept where nobody may see them or analysts could."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collector.config import Config, ConfigError, load_config
from tests.listener.files import hashed, write

ON = {"enabled": True}
USERS = {"basic_auth_users": {"ann": hashed("ann")}}


def config(**sections: Any) -> Config:
    return Config.model_validate({"source": {"otlp": {}}, **sections})


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    assert config().evidence.snippets.enabled is False


@pytest.mark.parametrize(
    ("chain", "snippets", "url"),
    [
        ({}, {}, str(Path(".assay") / "chain-snippets")),
        ({"url": "s3://company/chain/"}, {}, "s3://company/chain-snippets"),
        ({"url": "s3://company/chain"}, {"url": "s3://private/texts"}, "s3://private/texts"),
    ],
)
def test_they_lie_beside_the_chain_or_where_it_is_said(chain: dict, snippets: dict, url: str) -> None:
    assert config(chain=chain, evidence={"snippets": snippets}).snippets_url == url


@pytest.mark.parametrize("url", ["chain", "chain/", "chain/texts", "./chain/a/b"])
def test_below_the_chain_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"not below chain\.url, where analysts' SQL may read"):
        config(chain={"url": "chain"}, evidence={"snippets": {"url": url}})


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.4", "::", "assay.example"])
def test_where_others_can_ask_and_nobody_may_see_them_is_refused_in_one_message(host: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", {"source": {"otlp": {}}, "metrics": {"host": host}, "evidence": {"snippets": ON}})

    with pytest.raises(ConfigError) as raised:
        load_config(path, {})

    first, problem = str(raised.value).splitlines()
    assert first.endswith("1 problem")
    assert "set evidence.access.users_file or .bearer_token" in problem


def test_where_they_have_readers_or_no_pages_or_only_this_machine_asks_it_is_fine(tmp_path: Path) -> None:
    users = write(tmp_path / "users.yaml", USERS)
    others = {"metrics": {"host": "0.0.0.0"}}

    config(evidence={"snippets": ON})
    config(evidence={"snippets": ON}, metrics={"host": "localhost"})
    config(evidence={"snippets": ON, "access": {"users_file": users}}, **others)
    config(evidence={"snippets": ON, "access": {"bearer_token": {"env": "TOKEN"}}}, **others)
    config(evidence={"snippets": ON}, role="score", **others)


@pytest.mark.parametrize(
    "changes", [{"ttl_hours": 0}, {"ttl_hours": 1e6}, {"chars_max": 10}, {"chars_max": 10**6}, {"per_minute_max": 0}]
)
def test_every_bound_is_a_bound(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        config(evidence={"snippets": {**ON, **changes}})
