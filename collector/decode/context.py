"""What an answer should rest on: prompt-first, since a model got its documents through its prompt.

The context is, in order, what tools gave back, the system text, the user's turns less the question, then joined
documents that none of these contains. It exists only where some of it is *material*: a tool's result, a joined
document, or a prompt that carries supplied text (it is long, or has several lines and names a context, source …).
A plain system prompt is instructions and small talk is no source: such calls have no context.
"""

from __future__ import annotations

from typing import Final

from collector.records import LLMCall

MATERIAL_CHARS_MIN: Final = 600  # a longer prompt holds material, whatever it is called
_MARKS: Final = ("context", "document", "source", "passage", "excerpt", "article", "background", "knowledge", "snippet")
_READ: Final = ("user", "tool")
_QUESTION: Final = "question:"
_MARKED_CHARS: Final = 2_000  # where the marks are looked for


def context_text(call: LLMCall) -> str | None:
    """The context of a call for groundedness; None where nothing was supplied besides instructions and the question."""
    tools: list[str] = []
    users: list[str] = []
    for message in call.input_messages:
        if message.text and message.role in _READ:
            (users if message.role == "user" else tools).append(message.text)
    prompts = [call.system, *users] if call.system else users
    if not (tools or call.context_documents or any(_holds_material(prompt) for prompt in prompts)):
        return None
    parts = [*tools, *prompts[: len(prompts) - bool(users)]]
    if users and (material := _without_question(users[-1])):
        parts.append(material)
    if call.context_documents:
        said = "\n\n".join(parts)
        parts.extend(document for document in call.context_documents if document not in said)
    return "\n\n".join(parts) or None


def _holds_material(prompt: str) -> bool:
    if len(prompt) >= MATERIAL_CHARS_MIN:
        return True
    lower = prompt[:_MARKED_CHARS].lower()
    return "\n" in prompt.strip() and any(mark in lower for mark in _MARKS)


def _without_question(text: str) -> str | None:
    """The last user turn less the lines that ask; None where it only asks."""
    if not _holds_material(text):
        return None
    if "\n" not in text:
        return text
    return "\n".join([line for line in text.strip().split("\n") if not _asks(line)]).strip() or text


def _asks(line: str) -> bool:
    line = line.strip()
    return line.endswith("?") or line[: len(_QUESTION)].lower() == _QUESTION
