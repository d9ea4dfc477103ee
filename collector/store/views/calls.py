"""Every call and every score; made per session over ``raw_calls`` and ``raw_scores`` (see session.py)."""

from __future__ import annotations

from collector.rollup.fold import CONTENTS
from collector.store.views.types import KEYS, SIGNAL, Column, View

CALLS = View(
    name="calls",
    meaning="Every call, one row each, no text; besides these one DOUBLE a signal and side, as toxicity_output.",
    example="""SELECT time, trace_id, model_version, toxicity_output FROM calls
WHERE time >= TIMESTAMP '2026-11-27 02:00' AND toxicity_output > 0.8 ORDER BY toxicity_output DESC LIMIT 20""",
    source="FROM raw_calls",
    per_session=True,
    columns=(
        Column("time", "TIMESTAMP", "end of the call, UTC; bounds on it as literals open only the files they need"),
        Column("offset", "BIGINT", "offset of the record that holds its span"),
        Column("trace_id", "VARCHAR", "trace id, hex"),
        Column("span_id", "VARCHAR", "span id, hex"),
        *KEYS,
        Column("provider", "VARCHAR", "who serves the model"),
        Column("operation", "VARCHAR", "chat, text_completion, …"),
        Column("dialect", "VARCHAR", "convention of the instrumentation"),
        Column("conversation_id", "VARCHAR", "conversation or session"),
        Column("response_id", "VARCHAR", "id that the provider gave the answer; kept where evaluations are exported"),
        Column("content", "VARCHAR", "what of its text arrived: " + ", ".join(CONTENTS)),
        Column("error", "VARCHAR", "class of the error; NULL: it succeeded"),
        Column("finish_reason", "VARCHAR", "why the model stopped"),
        Column("language", "VARCHAR", "language of the input, ISO 639-1; NULL: too little of it to tell"),
        Column("stream", "BOOLEAN", "whether the answer was streamed"),
        Column("input_tokens", "BIGINT", "tokens of the input"),
        Column("output_tokens", "BIGINT", "tokens of the output"),
        Column("cache_read_tokens", "BIGINT", "input tokens read from a cache"),
        Column("latency_seconds", "DOUBLE", "duration"),
        Column("ttft_seconds", "DOUBLE", "time to the first token"),
        Column("unscored", "VARCHAR", "why no signal scored it; NULL: at least one did"),
        Column("unjoined", "BOOLEAN", "it waited for events that never came"),
        Column("dropped_attributes", "INTEGER", "attributes that the instrumentation dropped"),
        Column("suite", "VARCHAR", "the set of signals that judged it"),
    ),
)

SCORES = View(
    name="scores",
    meaning="One row a call and signal: the score, or the reason why there is none.",
    example="""SELECT signal, side, reason, count(*) AS n FROM scores
WHERE time >= TIMESTAMP '2026-11-27' AND service = 'shop' GROUP BY ALL ORDER BY n DESC""",
    source="FROM raw_scores",
    per_session=True,
    columns=(
        Column("time", "TIMESTAMP", "end of the call, UTC"),
        Column("trace_id", "VARCHAR", "trace id, hex"),
        Column("span_id", "VARCHAR", "span id, hex"),
        *KEYS,
        *SIGNAL,
        Column("score", "DOUBLE", "0 good .. 1 bad; NULL: not scored"),
        Column("reason", "VARCHAR", "why it was not scored; NULL: it was"),
    ),
)
