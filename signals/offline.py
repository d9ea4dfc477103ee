"""The suite over a file, without a daemon: `assay score` and notebooks call this."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from signals.tables import BadLine, Row, TableError, infer_schema, open_writer, read_rows
from signals.types import Abstention, Document, Exchange, ScoreSpec, ScoringSuite, SuiteScores

BATCH_ROWS = 256
TEXT_FIELDS = ("input", "output", "context", "system", "reference", "finish_reason")
OUTPUTS = (".jsonl", ".ndjson", ".parquet", ".csv")


@dataclass(slots=True)
class Tally:
    """What became of a file's lines."""

    rows: int = 0  # scored and written
    with_text: int = 0  # of them, those with an input or an output
    bad: int = 0  # explained and left out
    failures: dict[str, str] = field(default_factory=dict)  # signal -> exception type


def score_file(
    source: Path,
    output: Path,
    suite: ScoringSuite,
    explain: Callable[[int, str], None],
    *,
    batch_rows: int = BATCH_ROWS,
) -> Tally:
    """Score every row of ``source`` into ``output`` and keep its own fields.

    Fields: ``input``, ``output``, ``context`` (text, or a list of texts), ``system``, ``reference``,
    ``finish_reason``, ``tool_calls`` (a number, or a list of ``name`` and ``arguments``), ``failed`` (true or
    false), ``outputs`` (several answers to one request), ``documents`` (what the answer may cite, best first: texts, or
    objects of ``text`` and any of ``id``, ``title``, ``url``, ``score``; without ``context`` they are the context),
    ``tools`` (their definitions), ``response_format``, ``logprobs`` (a list of numbers). For each score column two are
    added: its value, null where the signal abstains, and ``<column>_reason``, null where it scores. A bad line goes to
    ``explain`` with its number and is left out. The output appears under its name only when it is whole; at any time
    one batch is in memory.
    Raises TableError for a file that cannot be read or written.
    """
    if output.suffix not in OUTPUTS:
        raise TableError(f"{output}: the output must be .jsonl, .parquet or .csv")
    if output.exists() and source.exists() and output.samefile(source):
        raise TableError(f"{output}: the output would overwrite the input")
    schema = {} if output.suffix in OUTPUTS[:2] else infer_schema(source, batch_rows)
    for spec in suite.specs:
        schema |= {spec.column: pa.float32(), f"{spec.column}_reason": pa.string()}
    tally = Tally()

    def left_out(number: int, problem: str) -> None:
        tally.bad += 1
        explain(number, problem)

    scratch = output.with_name(f".{output.name}.part")
    try:
        writer = open_writer(scratch, output, schema, _identity(suite.specs))
        try:
            rows = read_exchanges(source, batch_rows, left_out)
            while batch := [(row, exchange) for _, row, exchange in islice(rows, batch_rows)]:
                writer.write(_scored(batch, suite, tally))
        finally:
            writer.close()
        scratch.replace(output)
    except OSError as error:
        raise TableError(f"{output}: {error.strerror or error}") from None
    finally:
        scratch.unlink(missing_ok=True)
    return tally


def read_exchanges(
    source: Path, batch_rows: int, explain: Callable[[int, str], None]
) -> Iterator[tuple[int, Row, Exchange]]:
    """Line number, row and exchange of each good line; a bad one goes to ``explain``. Raises TableError."""
    for number, row in read_rows(source, batch_rows):
        try:
            if isinstance(row, BadLine):
                raise row
            yield number, row, exchange_of(row)
        except BadLine as problem:
            explain(number, str(problem))


def exchange_of(row: Row) -> Exchange:
    """The exchange that a row holds; raises BadLine where a field has a type that cannot be meant."""
    texts: dict[str, Any] = {name: _text(name, row.get(name)) for name in TEXT_FIELDS}
    calls, failed = row.get("tool_calls") or 0, row.get("failed") or False
    made: tuple[tuple[str | None, str | None], ...] = ()
    if isinstance(calls, list):
        made, calls = tuple(_call(call) for call in calls), len(calls)
    if not isinstance(calls, int) or not isinstance(failed, bool):
        raise BadLine("tool_calls must be a number or a list, failed true or false")
    documents = _documents(row)
    if texts["context"] is None and documents:
        texts["context"] = "\n\n".join(document.text for document in documents if document.text) or None
    return Exchange(
        **texts,
        tool_calls=int(calls),
        failed=failed,
        outputs=_list(row, "outputs", str),
        documents=documents,
        calls=made,
        tools=_json(row.get("tools")),
        response_format=_json(row.get("response_format")),
        logprobs=tuple(_number(value, "each of logprobs") for value in _list(row, "logprobs", (int, float))),
    )


def _documents(row: Row) -> tuple[Document, ...]:
    given = _list(row, "documents", (str, dict))
    return tuple(_document(one, f"documents[{at}]") for at, one in enumerate(given))


def _document(given: Any, place: str) -> Document:
    if isinstance(given, str):
        return Document(text=given)
    text, name, title, url = (_named(given.get(key), f"{place}.{key}") for key in ("text", "id", "title", "url"))
    if text is None and not (name or title or url):
        raise BadLine(f"{place} must have a text, or at least an id, a title or a url")
    score = given.get("score")
    score = None if score is None else _number(score, f"{place}.score")
    return Document(text=text or "", id=name, title=title, url=url, score=score)


def _number(value: Any, place: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer of hundreds of digits
            return float(value)
    raise BadLine(f"{place} must be a number")


def _named(value: Any, place: str) -> str | None:
    """As text; ids are often numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    raise BadLine(f"{place} must be text, not {type(value).__name__}")


def _call(call: Any) -> tuple[str | None, str | None]:
    """One tool call, as OpenAI or as Assay prints it; one of another shape has neither name nor arguments."""
    if not isinstance(call, dict):
        return None, None
    inner = call["function"] if isinstance(call.get("function"), dict) else call
    name = inner.get("name")
    return (name if isinstance(name, str) else None), _json(inner.get("arguments"))


def _json(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


def _list(row: Row, name: str, kind: Any) -> tuple[Any, ...]:
    value = row.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise BadLine(f"{name} must be a list of {_KINDS.get(kind, 'numbers')}")
    return tuple(value)


_KINDS = {str: "texts", (str, dict): "texts or objects"}


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if name == "context" and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)
    raise BadLine(
        f"{name} must be text{' or a list of texts' if name == 'context' else ''}, not {type(value).__name__}"
    )


def _scored(batch: list[tuple[Row, Exchange]], suite: ScoringSuite, tally: Tally) -> list[Row]:
    exchanges = [exchange for _, exchange in batch]
    scores = suite.score(exchanges)
    tally.rows += len(batch)
    tally.with_text += sum(bool(exchange.input or exchange.output) for exchange in exchanges)
    tally.failures |= scores.failures
    return [row | added for (row, _), added in zip(batch, _columns(scores, len(batch)), strict=True)]


def _columns(scores: SuiteScores, n: int) -> list[Row]:
    rows: list[Row] = [{} for _ in range(n)]
    for column in scores.columns:
        name = column.spec.column
        for row, value, code in zip(rows, column.values.tolist(), column.abstentions.tolist(), strict=True):
            absent = code != Abstention.NONE
            row[name] = None if absent else round(value, 6)
            row[f"{name}_reason"] = Abstention(code).name.lower() if absent else None
    return rows


def _identity(specs: tuple[ScoreSpec, ...]) -> str:
    return json.dumps([{"column": spec.column, "version": spec.version, "weights": spec.weights} for spec in specs])
