"""How deep a payload nests, told without recursion and before anything recurses over it."""

from __future__ import annotations

import itertools

PROTOBUF_DEPTH_MAX = 100  # what upb itself accepts
_TO_PARENTHESES = bytes.maketrans(b"{[}]", b"(())")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))


def json_too_deep(value: bytes, depth_max: int) -> bool:
    """Whether well-formed JSON nests deeper than ``depth_max``; of other text it may also say no."""
    plain = value
    if b"\\" in plain:
        plain = plain.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(itertools.islice(plain.split(b'"'), 0, None, 2))
    brackets = outside.translate(_TO_PARENTHESES, _NOT_BRACKETS)
    for _ in range(depth_max):
        shorter = brackets.replace(b"()", b"")
        if len(shorter) == len(brackets):
            return brackets[: depth_max + 1] == b"(" * (depth_max + 1)
        brackets = shorter
    return bool(brackets)


def protobuf_too_deep(value: bytes, depth_max: int = PROTOBUF_DEPTH_MAX) -> bool:
    """Whether bytes that upb refused nest length-delimited fields deeper than ``depth_max``.

    Each level costs at least two bytes, so only fields long enough to hold the missing levels are entered.
    """
    pending = [(0, len(value), 0)]
    steps = len(value)
    while pending and steps > 0:
        at, end, depth = pending.pop()
        if depth > depth_max:
            return True
        while at < end and steps > 0:
            steps -= 1
            key, at = _varint(value, at, end)
            wire = key & 7
            if wire == 2:
                size, at = _varint(value, at, end)
                if at + size > end:
                    break
                if size >= 2 * (depth_max - depth):
                    pending.append((at, at + size, depth + 1))
                at += size
            elif wire == 0:
                _, at = _varint(value, at, end)
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
            else:
                break
    return False


def _varint(value: bytes, at: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while at < end and shift < 64:
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    return 0, end
