"""The encodings in which text files are read.

A spec may use any name that Python's codecs know; the names of these tables are the ones that are kept.
"""

import codecs
from string import ascii_letters, digits

_ABOVE_AT = "@" + ascii_letters + "[\\]^_`{|}~"
_ASCII_APART = (
    *("utf-8", "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "cp1250"),
    *("cp1251", "cp1252", "cp1253", "cp1254", "koi8-r", "euc_kr", "euc_jp"),
)
"""Whose other characters have no byte of an ASCII character."""

SHARED: dict[str, str] = {
    **dict.fromkeys(_ASCII_APART, ""),
    "cp949": ascii_letters,
    "shift_jis": _ABOVE_AT,
    "cp932": _ABOVE_AT,
    "gbk": _ABOVE_AT,
    "gb18030": _ABOVE_AT + digits,
    "big5": _ABOVE_AT,
}
"""Encodings in which every ASCII character is a byte of its own, so that their files are split as bytes.

The value holds the ASCII characters whose byte can also be a part of another character. A line end never can.
"""

WIDE = ("utf-16", "utf-16-le", "utf-16-be")
"""Encodings whose files are decoded from the beginning, as a stream.

The byte order of plain `utf-16` is told by its byte order mark.
"""


def normal_encoding(name: str) -> str:
    """The table's name of the encoding *name*; raises ValueError if there is none."""
    try:
        # a byte order mark before UTF-8 is dropped anyway
        found = codecs.lookup(name).name.removesuffix("-sig")
    except (ValueError, LookupError):
        found = ""
    if found not in SHARED and found not in WIDE:
        raise ValueError(f"not an encoding that files are read in; there are {', '.join((*SHARED, *WIDE))}")
    return found
