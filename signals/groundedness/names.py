"""Names: those of the answer that neither the context nor the question holds.

A name is a run of capitalised words inside a sentence, an acronym anywhere, or quoted words; at the beginning of a
sentence a single capitalised word is none, since every sentence begins so. Its words are compared by their stems; an
acronym is held by its words in full, and the words by their acronym. Scripts without capitals have no names here, and
in German every noun is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from signals.groundedness.reading import STOP_WORDS, Reading, stems

NAMES_MAX = 500
OTHER_FORMS_MAX = 32  # names that are looked for a second time, each over the whole context
QUOTE_WORDS_MAX = 12

_CAPITALISED = r"[^\W\d_a-zß-öø-ÿ][\w'&.-]*\w"
_RUN = re.compile(rf"(?<![\w'])(?:{_CAPITALISED})(?:(?: |-)(?:(?:of|de|van|von|the|and|for|&) )?(?:{_CAPITALISED}))*")
_QUOTED = re.compile(r"\"([^\"\n]{2,120})\"|«([^»\n]{2,120})»|„([^“\n]{2,120})“|「([^」\n]{2,120})」")
_ACRONYM = re.compile(r"(?:[A-Z]\.?){2,8}s?")  # "WHO" is one and no pronoun
_WORD = re.compile(r"[\w&]+")


def entity_mismatch(answer: Reading, context: Reading, question: Reading) -> float | None:
    """The share of words in the answer's distinct names that are not given; None where it holds no name."""
    every = (name for sentence in answer.sentences for name in _names(sentence.text))
    names = dict.fromkeys(islice(every, NAMES_MAX))
    forms = OTHER_FORMS_MAX
    weighed = held = 0
    for name in names:
        parts = [stem for word in name.split() if _counts(word) for stem in stems(word)]
        missing = [stem for stem in parts if stem not in context.known and stem not in question.known]
        if missing and forms:
            forms -= 1
            missing = [] if _in_other_form(name, context) else missing
        weighed += len(parts)
        held += len(parts) - len(missing)
    return 1 - held / weighed if weighed else None


def _names(sentence: str) -> Iterator[str]:
    for found in _QUOTED.finditer(sentence):
        quoted = next(group for group in found.groups() if group)
        if len(quoted.split()) <= QUOTE_WORDS_MAX:
            yield quoted.strip()
    for found in _RUN.finditer(sentence):
        words = found[0].split()
        begins = not any(character.isalnum() for character in sentence[: found.start()])
        if begins and words[0].lower() in STOP_WORDS:
            words = words[1:]
        elif begins and len(words) == 1 and not _ACRONYM.fullmatch(words[0]):
            continue
        if any(map(_counts, words)):
            yield " ".join(words)


def _counts(word: str) -> bool:
    return word.lower() not in STOP_WORDS or _ACRONYM.fullmatch(word) is not None


def _in_other_form(name: str, context: Reading) -> bool:
    """Whether the context has the words of an acronym, or the acronym of these words."""
    letters = name.replace(".", "").removesuffix("s")
    if _ACRONYM.fullmatch(name):
        between = r"\w*[ -](?:(?:of|the|and|for|in|de) )?"
        return re.search(r"\b" + between.join(letters) + r"\w", context.text, re.IGNORECASE) is not None
    initials = "".join(word[0] for word in _WORD.findall(name) if word[0].isupper())
    return len(initials) > 1 and initials.lower() in context.known
