"""The header of a gzip stream, as RFC 1952 has it."""

import zlib

_FIXED = 10
_MAGIC = b"\x1f\x8b\x08"  # with the only method, deflate
_CHECKED, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_KNOWN = 0x1F


def header_size(data: bytes) -> int:
    """The bytes of the header that begins *data*, 0 if more data have to tell; raises ValueError."""
    if len(data) < _FIXED:
        return 0
    if not data.startswith(_MAGIC):
        raise ValueError("incorrect header: it does not begin with 1f 8b 08")
    flags = data[3]
    if flags & ~_KNOWN:
        raise ValueError("unknown header flags set")
    size = _FIXED
    if flags & _EXTRA:
        size += 2 + int.from_bytes(data[size : size + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            size = data.find(b"\0", size) + 1
            if not size:
                return 0
    if flags & _CHECKED:
        told, found = data[size : size + 2], zlib.crc32(data[:size]) & 0xFFFF
        size += 2
        if size <= len(data) and int.from_bytes(told, "little") != found:
            raise ValueError("header crc mismatch")
    return size if size <= len(data) else 0
