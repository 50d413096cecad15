"""The table of first bytes: names of content that Gristmill does not read as a table.

Pure: bytes in, a name and a cure out. `readers.formats` holds the first bytes of the formats that are read.
"""

import codecs
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from worker_service.readers.bytes.json_shapes import json_shape

LOOK = 4096
"""Bytes of content that a signature may look at."""

_TAR_HEADER, _TAR_SUM = 512, slice(148, 156)
_EXPORT = "export it as CSV, NDJSON or Parquet"
_UNPACK = "unpack it, and give the files in it, or a zip of them"
_REPACK = "unpack it; gzip, zip, zstd, bzip2, xz and lz4 are read"
_PRINTED = rb"[\t\r\n\x20-\x7e]"
_SET = "set csv.encoding to"
_CONVERT = "save it as CSV in UTF-8"
_FETCH = "fetch the data themselves"
_UNZIP = "unpack it"
_ONCE = "unpack it once: one level of compression is read"
_APART = "Parquet needs no compression around it; unpack it"


def _like(pattern: bytes) -> Callable[[bytes], bool]:
    compiled = re.compile(pattern, re.DOTALL | re.IGNORECASE)
    return lambda start: compiled.match(start) is not None


def _begins(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda start: start.startswith(magics)


def _binary(magic: bytes) -> Callable[[bytes], bool]:
    """*magic* is text, so a control character has to follow soon."""
    compiled = re.compile(re.escape(magic) + rb".{0,60}?[\x00-\x08\x0e-\x1f]", re.DOTALL)
    return lambda start: compiled.match(start) is not None


def _is_tar(start: bytes) -> bool:
    """The header's checksum tells, because old archives have no magic."""
    header = start[:_TAR_HEADER]
    claimed = header[_TAR_SUM].strip(b" \0")
    if len(header) < _TAR_HEADER or b"\0" not in header or not re.fullmatch(rb"[0-7]{1,7}", claimed):
        return False
    return sum(header) - sum(header[_TAR_SUM]) + 8 * ord(" ") == int(claimed, 8)


COMPRESSIONS: dict[str, Callable[[bytes], bool]] = {
    "gzip": _begins(b"\x1f\x8b"),
    "zip": _begins(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08PK\x03\x04"),
    "zstd": _like(rb"(?-i:\x28\xb5\x2f(?:\xfd|\Z))"),
    "bzip2": _like(
        rb"(?-i:BZh[1-9](?:.AY&SY|1.Y&SY|1A.&SY|1AY.SY|1AY&.Y|1AY&S.|\x17rE8P\x90|1(?:A(?:Y(?:&S?)?)?)?\Z))"
    ),
    "xz": _like(rb"(?-i:\xfd7z(?:.Z\0|X.\0|XZ.|X?Z?\Z))"),
    "lz4": _like(rb"(?-i:\x04\x22\x4d(?:\x18|\Z))"),
}
"""By the name in the spec: the first bytes of data that are compressed so.

Magics of six bytes may have a damaged one, and content that ends inside a magic is truncated.
"""


def packed_file(compression: str) -> str:
    """Its name with the article."""
    return f"{'an' if compression in {'xz', 'lz4'} else 'a'} {compression} file"


Kind = Literal["binary", "wide", "text"]


@dataclass(frozen=True, slots=True)
class Signature:
    """*name* has its article. *kind*: no text begins so, text in wide characters, or text that is no CSV.

    *inside* is the cure where the content was found in a compressed file, if it is another one.
    """

    name: str
    matches: Callable[[bytes], bool]
    cure: str
    kind: Kind = "binary"
    inside: str | None = None


SIGNATURES = (
    Signature(
        "an Office document",
        _like(rb"(?-i:PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/|word/))"),
        'set source.format to "xlsx" or "auto"',
        inside=_UNZIP,
    ),
    *(
        Signature(packed_file(name), matches, f'set source.compression to "{name}" or "auto"', inside=_ONCE)
        for name, matches in COMPRESSIONS.items()
    ),
    # compression and archives
    Signature("a tar archive", _is_tar, _UNPACK),
    Signature("a 7z archive", _begins(b"7z\xbc\xaf\x27\x1c"), _UNPACK),
    Signature("a RAR archive", _begins(b"Rar!\x1a\x07"), _UNPACK),
    Signature("a cabinet archive", _begins(b"MSCF\0\0\0\0"), _UNPACK),
    Signature("an ar archive", _begins(b"!<arch>\n"), _UNPACK),
    Signature("a compress (.Z) file", _begins(b"\x1f\x9d"), _REPACK),
    Signature("a pack (.z) file", _begins(b"\x1f\x1e"), _REPACK),
    Signature("an lzip file", _binary(b"LZIP"), _REPACK),
    Signature("an lzop file", _begins(b"\x89LZO\0"), _REPACK),
    Signature("an .lzma file", _like(rb"(?-i:\x5d\0\0..(?:\xff{8}|.{5}\0{3}))"), _REPACK),
    Signature("a Snappy file", _begins(b"\xff\x06\0\0sNaPpY"), _REPACK),
    Signature("a legacy lz4 file", _begins(b"\x02\x21\x4c\x18"), "write it in the frame format: `lz4 -9`"),
    Signature("a zstd file of an old version", _like(rb"(?-i:[\x22-\x27]\xb5\x2f\xfd)"), _REPACK),
    # tables
    Signature("a Parquet file", _binary(b"PAR1"), 'set source.format to "parquet" or "auto"', inside=_APART),
    Signature("an encrypted Parquet file", _binary(b"PARE"), "write it without encryption"),
    Signature(
        "an Arrow IPC file", _begins(b"ARROW1\0\0"), 'set source.format to "arrow" or "auto"', inside=_UNZIP
    ),
    Signature(
        "an Arrow IPC stream",
        _like(rb"(?-i:\xff{4}.{2}\0\0\x10\0\0\0)"),
        'set source.format to "arrow" or "auto"',
        inside=_UNZIP,
    ),
    Signature("a Feather version 1 file", _begins(b"FEA1\0"), "write it as Arrow IPC (Feather version 2)"),
    Signature("an ORC file", _binary(b"ORC"), "write it as Parquet"),
    Signature("an Avro file", _begins(b"Obj\x01"), "write it as Parquet or NDJSON"),
    Signature(
        "an .xls workbook (OLE2)", _begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "save it as .xlsx or CSV"
    ),
    Signature(
        "an .xls workbook",
        _like(rb"(?-i:\x09[\0\x02\x04\x08][\x04\x06\x08\x10]\0)"),
        "save it as .xlsx or CSV",
    ),
    Signature("an SQLite database", _begins(b"SQLite format 3\0"), _EXPORT),
    Signature("a DuckDB database", _like(rb"(?-i:.{8}DUCK.\0\0\0)"), _EXPORT),
    Signature("an Access database", _like(rb"(?-i:\0\x01\0\0Standard (?:Jet|ACE) DB)"), _EXPORT),
    Signature("a dBase file", _like(rb"(?-i:[\x03\x83].[\x01-\x0c][\x01-\x1f].{8}\0\0)"), _EXPORT),
    Signature("a shapefile", _begins(b"\0\0\x27\x0a\0\0\0\0"), _EXPORT),
    Signature("an HDF5 file", _begins(b"\x89HDF\r\n\x1a\n"), _EXPORT),
    Signature("a netCDF file", _like(rb"(?-i:CDF[\x01\x02\x05])"), _EXPORT),
    Signature("a MATLAB file", _like(rb"(?-i:MATLAB \d\.\d MAT-file)"), _EXPORT),
    Signature("a SAS data file", _begins(bytes(12) + b"\xc2\xea\x81\x60"), _EXPORT),
    Signature("a SAS transport file", _begins(b"HEADER RECORD*******LIB"), _EXPORT),
    Signature("an SPSS file", _like(rb"(?-i:\$FL[23]@\(#\))"), _EXPORT),
    Signature("a Stata file", _begins(b"<stata_dta>"), _EXPORT),
    Signature("an R data file", _like(rb"(?-i:RD[XAB][23]\n|[XB]\n\0\0\0[\x02\x03])"), _EXPORT),
    Signature(
        "a Python pickle", _like(rb"(?-i:\x80[\x02-\x05][\x28\x4a-\x5d\x63\x7d\x8a-\x8e\x95])"), _EXPORT
    ),
    Signature("a NumPy file", _begins(b"\x93NUMPY"), _EXPORT),
    Signature("a PostgreSQL dump", _binary(b"PGDMP"), "export the table with COPY … TO … CSV HEADER"),
    # documents and pictures
    Signature("a PDF document", _begins(b"%PDF-"), "export its table as CSV"),
    Signature("an RTF document", _begins(b"{\\rtf"), "export its table as CSV"),
    Signature("a PNG picture", _begins(b"\x89PNG\r\n\x1a\n"), "give the data as CSV"),
    Signature("a JPEG picture", _like(rb"(?-i:\xff\xd8\xff[\xdb\xe0-\xef])"), "give the data as CSV"),
    Signature("a program", _begins(b"\x7fELF", b"\xcf\xfa\xed\xfe"), "give the data as CSV"),
    Signature(
        "a Git LFS pointer", _begins(b"version https://git-lfs.github.com/spec/"), f"{_FETCH}: `git lfs pull`"
    ),
    Signature(
        "an encrypted message", _begins(b"-----BEGIN PGP MESSAGE", b"age-encryption.org/v1\n"), "decrypt it"
    ),
    # text of two or four bytes a character
    Signature("text in UTF-32", _begins(codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), _CONVERT, "wide"),
    Signature(
        "text in UTF-32", _like(rb"(?:%b\0\0\0){4}|(?:\0\0\0%b){4}" % (_PRINTED, _PRINTED)), _CONVERT, "wide"
    ),
    Signature("text in UTF-16", _like(rb"(?:%b\0){8}" % _PRINTED), f"{_SET} utf-16-le", "wide"),
    Signature("text in UTF-16", _like(rb"(?:\0%b){8}" % _PRINTED), f"{_SET} utf-16-be", "wide"),
    # text
    Signature("an HTML page", _like(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)[\s>]"), _FETCH, "text"),
    Signature(
        "an HTML page",
        _like(
            rb"(?:\xef\xbb\xbf)?\s*<(?:(?:head|body|table|div|center|script|style|meta)\b[^<>]*>\s*<"
            rb"|(h\d|p|b|title)>[^<>\r\n]*</\1>)"
        ),
        _FETCH,
        "text",
    ),
    Signature("an XML document", _like(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml\s|!--|!doctype\s)"), _EXPORT, "text"),
    Signature(
        "an XML document",
        _like(rb"(?:\xef\xbb\xbf)?\s*<[a-z_][\w:.-]*(?:\s[^<>]*)?>(?:[ \t]*\r?\n\s*)?<[a-z/!?]"),
        _EXPORT,
        "text",
    ),
)
"""The first match counts. Text that a CSV file may begin with matches none."""


def signature_of(start: bytes, kinds: Collection[Kind]) -> Signature | None:
    """The signature, of one of *kinds*, of content that begins with *start*, which is `LOOK` bytes or all."""
    found = next((found for found in SIGNATURES if found.kind in kinds and found.matches(start)), None)
    if found or "text" not in kinds or not (shape := json_shape(start)):
        return found
    return Signature(shape.name, lambda _: True, shape.cure, "text")
