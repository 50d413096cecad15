"""How a CSV file is written: its special characters and its encoding."""

import re
from dataclasses import dataclass, replace

from shared.spec.encodings import WIDE
from shared.spec.source import CsvOptions

LINE_END = re.compile(rb"\r\n?|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Each special character is one ASCII byte, or empty where there is no such character.

    A delimiter may have several, none of them special otherwise. Quotes inside quotes are doubled. `encoding`
    is that of the bytes to parse: UTF-16 arrives as UTF-8.
    """

    delimiter: bytes
    quote: bytes
    escape: bytes = b""
    comment: bytes = b""
    encoding: str = "utf-8"

    @property
    def separator(self) -> bytes:
        """It stands for each byte of a delimiter in masked bytes, and for no other byte there."""
        return self.delimiter[:1]

    def masked(self) -> "Dialect":
        """The dialect of masked bytes."""
        return replace(self, delimiter=self.separator, escape=b"")


def dialect_of(options: CsvOptions) -> Dialect:
    return Dialect(
        delimiter=options.delimiter.encode(),
        quote=(options.quote or "").encode(),
        escape=(options.escape or "").encode(),
        comment=(options.comment or "").encode(),
        encoding="utf-8" if options.encoding in WIDE else options.encoding,
    )


class MalformedCsv(Exception):
    """The bytes are no CSV: no end of the record can be proven. *reason* is found at the byte *at*.

    *in_column* is false where the reason holds for the whole record.
    """

    def __init__(self, at: int, reason: str, *, in_column: bool = True) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason
        self.in_column = in_column
