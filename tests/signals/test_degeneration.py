"""Degeneration: empty, cut off and looping answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.degeneration import (
    CUT_OFF,
    FILTERED,
    WORD_LOOP_MIN,
    WORD_PERIODS,
    WORD_REPEATS_MIN,
    findings,
    repetition,
)
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange

PROSE = (
    "You can return the kettle within thirty days. Pack it well, print the label from your account, and hand it "
    "in at any post office. As soon as it reaches our warehouse we send the money back to the card you paid with."
)


def score(exchange: Exchange) -> float | Abstention:
    (column,) = load_suite(SuiteOptions(enabled=("degeneration",))).score([exchange]).columns
    code = Abstention(int(column.abstentions[0]))
    return code or float(column.values[0])


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Exchange(output=PROSE, finish_reason="stop"), 0.0),
        (Exchange(output=""), 1.0),
        (Exchange(output=" \n"), 1.0),
        (Exchange(output="", tool_calls=1), Abstention.NO_TEXT),
        (Exchange(output="", failed=True), Abstention.NO_TEXT),
        (Exchange(output=None, finish_reason="length"), Abstention.NO_TEXT),
        (Exchange(output=PROSE, finish_reason="length"), pytest.approx(CUT_OFF)),
        (Exchange(output=PROSE, finish_reason="MAX_TOKENS"), pytest.approx(CUT_OFF)),
        (Exchange(output=PROSE, finish_reason="content_filter"), pytest.approx(FILTERED)),
        (Exchange(output="no " * 200, finish_reason="length"), pytest.approx(1.0)),
    ],
)
def test_levels_are_as_documented(exchange: Exchange, expected: object) -> None:
    assert score(exchange) == expected


def test_the_findings_have_names() -> None:
    assert findings(Exchange(output=PROSE, finish_reason="length")) == {"empty": 0, "cut_off": CUT_OFF, "repeating": 0}


@pytest.mark.parametrize(
    "text",
    [
        "I am sorry, I can not. " * 30,
        "the " * 60,
        "!" * 400,
        "Sure!" + "-" * 3_000,
        ("-" * 80 + "\n") * 60,
        "0" * 400,
        "これは犬です。" * 20,
        "สวัสดีครับ" * 20,
        "مرحبا بك. " * 20,
        PROSE + " and then and then" * 120,
        (PROSE + "\n\n") * 8,
    ],
)
def test_a_loop_is_seen_in_any_script(text: str) -> None:
    assert repetition(text) > 0.8


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "ha ha ha, no no no, very very very good",
        "| name | price |\n|------|-------|\n| kettle | 20 |\n| toaster | 30 |\n| spoon | 3 |",
        "\n".join(f"{number}. step {number} of the list" for number in range(10)),
        "row row row your boat gently down the stream, merrily merrily merrily merrily life is but a dream",
        "a = 1\nb = 2\nc = 3\nfor i in range(10):\n    print(a, b, c, i)\n",
        "请在三十天内退回水壶。请妥善包装，打印标签，然后交给邮局。",
        f"{'-' * 80}\nHello\n{'=' * 80}",
        f"# {'-' * 70}\n# Setup\n# {'-' * 70}\nimport os\n",
        f"| Name | Description |\n|{'-' * 60}|{'-' * 60}|\n| Kettle | Boils water |",
        "\n".join(f"Chapter {number} {'.' * 50} {number * 7}" for number in range(1, 9)),
    ],
)
def test_lists_tables_songs_and_code_are_no_loops(text: str) -> None:
    assert repetition(text) < 0.3


def test_a_loop_at_the_end_counts_by_its_share() -> None:
    short, long = repetition(PROSE + " again" * 12), repetition(PROSE + " again" * 200)

    assert 0.1 < short < 0.5 < long


@given(st.text(max_size=300))
def test_repetition_is_a_share(text: str) -> None:
    assert 0 <= repetition(text) <= 1


@given(st.text(st.characters(whitelist_categories=["L"]), min_size=1, max_size=20))
def test_whatever_is_said_a_hundred_times_is_a_loop(text: str) -> None:
    assert repetition(f"{text} " * 100) > 0.9


@given(st.lists(st.sampled_from("ab"), max_size=40))
def test_loops_of_words_are_found_where_a_plain_search_finds_them(said: list[str]) -> None:
    inside = set()
    for period in WORD_PERIODS:
        span = max(period * WORD_REPEATS_MIN, WORD_LOOP_MIN)
        for start in range(len(said) - span + 1):
            window = said[start : start + span]
            if window[period:] == window[:-period]:
                inside |= set(range(start, start + span))

    assert repetition(" ".join(said)) == pytest.approx(len(inside) / max(1, len(said)))
