"""Text into token ids, once for all who use a vocabulary, whatever windows they cut."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from signals.runtime.lru import Lru

TEXT_CHARS_MAX = 1 << 20  # of a longer text the first and the last half of this many are read
MEMORY_BYTES_MAX = 8 << 20  # of ids of the texts seen last: about a million tokens
_CUTS = ("normalizer", "pre_tokenizer", "model", "added_tokens")  # what decides how a text is cut


class Vocabulary:
    """Ids of texts without special tokens; remembers the texts seen last, since each user of a batch asks for them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.forget()

    def ids(self, text: str) -> npt.NDArray[np.int64]:
        """Of any string that Python can hold. The array is shared and read-only."""
        key = self._memory.key(text)
        known = self._memory.get(key)
        if known is None:
            # one call a text: a batch call would start a thread pool of its own beside the workers
            found = self._tokenizer.encode(readable(text), add_special_tokens=False).ids
            known = np.array(found, dtype=np.int64)
            self._memory.put(key, known)
        return known

    def forget(self) -> None:
        """Empty the memory."""
        self._memory = Lru("", MEMORY_BYTES_MAX)


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """The one of this process that cuts texts as ``tokenizer``, which neither truncates nor pads, does."""
    parts = json.loads(tokenizer.to_str())
    digest = hashlib.sha256(json.dumps([parts.get(part) for part in _CUTS]).encode()).hexdigest()
    return _SHARED.setdefault(digest, Vocabulary(tokenizer))


def load_tokenizer(file: Path) -> Tokenizer:
    """The tokeniser of a file, for texts of any length."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def readable(text: str) -> str:
    """``text`` within TEXT_CHARS_MAX and without lone surrogates, which no tokeniser takes."""
    if len(text) > TEXT_CHARS_MAX:
        text = text[: TEXT_CHARS_MAX // 2] + text[-TEXT_CHARS_MAX // 2 :]
    try:
        text.encode()
    except UnicodeEncodeError:  # halves that belong together become one character, the others U+FFFD
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_SHARED: WeakValueDictionary[str, Vocabulary] = WeakValueDictionary()  # for as long as anyone uses them
