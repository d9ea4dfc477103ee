"""Values that a sender compressed itself, unpacked within stated bounds."""

from __future__ import annotations

import io
import zlib

import zstandard

from collector.config import LimitsConfig
from collector.decode.spans import Undecodable
from collector.records import RejectReason

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_MAX = 8 << 20


def unpack(value: bytes, limits: LimitsConfig) -> bytes | Undecodable:
    """``value`` itself, or what gzip or zstd made of it; never more than the limits allow, nor much work for it."""
    if value.startswith(GZIP_MAGIC):
        decompress = _gunzip
    elif value.startswith(ZSTD_MAGIC):
        decompress = _unzstd
    else:
        return value
    size_max = min(limits.decompressed_bytes_max, len(value) * limits.decompression_ratio_max)
    try:
        unpacked = decompress(value, size_max + 1)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        return Undecodable(RejectReason.BAD_COMPRESSION, type(error).__name__)
    if len(unpacked) > size_max:
        return Undecodable(RejectReason.BOMB, f"{len(value)} bytes unpack to more than {size_max}")
    return unpacked


def _gunzip(value: bytes, size_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while value and size < size_max:
        stream = zlib.decompressobj(wbits=31)
        part = stream.decompress(value, size_max - size)
        parts.append(part)
        size += len(part)
        if not stream.eof and size < size_max:
            raise EOFError
        value = stream.unused_data
    return b"".join(parts)


def _unzstd(value: bytes, size_max: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX)
    out = io.BytesIO()
    with decompressor.stream_reader(io.BytesIO(value), read_across_frames=True) as reader:
        while out.tell() < size_max and (part := reader.read(size_max - out.tell())):
            out.write(part)
    if out.tell() < size_max and zstandard.frame_content_size(value) > out.tell():
        raise EOFError
    return out.getvalue()
