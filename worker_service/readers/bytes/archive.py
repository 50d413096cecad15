"""The members of a zip file: which of them hold data, and where these lie.

All that the file claims is checked before it is believed.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator

from isal import isal_zlib

from shared.core.plan import Member
from shared.errors import CorruptFile, LimitExceeded, NotSupported
from shared.spec import names
from worker_service.readers.bytes.codecs import METHODS
from worker_service.readers.bytes.directory import Entry, damaged, entries
from worker_service.readers.bytes.local import SourceFile, pread

MAX_MEMBERS = 10_000

_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x2041
_LINK, _FILE_TYPE = 0xA000, 0xF000
_STEP = re.compile(r"[/\\]")
_CLUTTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_SHOWN = 200
_PACKED_BY = {9: "Deflate64, as Windows packs more than 2 GB", 98: "PPMd", 99: "AES encryption"}

WORKBOOK = "xl/workbook.xml"
DOCUMENTS = {
    WORKBOOK: ("an .xlsx workbook", 'set source.format to "xlsx" or "auto"'),
    "xl/workbook.bin": ("an .xlsb workbook", "save it as .xlsx or CSV"),
    "META-INF/manifest.xml": ("an OpenDocument file", "save it as .xlsx or CSV"),
    "Index/Document.iwa": ("an Apple iWork document", "export it as .xlsx or CSV"),
    "word/document.xml": ("a Word document", "save its table as CSV"),
    "ppt/presentation.xml": ("a PowerPoint document", "save its table as CSV"),
    "META-INF/MANIFEST.MF": ("a Java archive", "give the data as CSV"),
}
"""Kinds of document that are zip files too: by a member that each has, its name and a cure."""


def document_in(listed: Iterable[Entry]) -> str | None:
    """The key in `DOCUMENTS` of the document that a zip file is; None for an archive of files."""
    known = {entry.name for entry in listed}
    return next((member for member in DOCUMENTS if member in known), None)


def is_workbook(file: SourceFile) -> bool:
    """Whether the zip file is an .xlsx workbook."""
    return document_in(entries(file)) == WORKBOOK


def members(file: SourceFile, listed: Iterable[Entry]) -> list[Member]:
    """Those of the *listed* members that hold data, in the order of their names.

    Raises NotSupported for one that cannot be read, CorruptFile for claims that contradict each other, and
    LimitExceeded for more than `MAX_MEMBERS`.
    """
    found: list[tuple[int, Member]] = []
    for entry in filter(_holds_data, listed):
        if len(found) == MAX_MEMBERS:
            raise LimitExceeded(f"{file.uri}: the zip file holds more than {MAX_MEMBERS:,} files; split it")
        found.append((entry.header, _member(file, entry)))
    repeated = [name for name, times in Counter(member.name for _, member in found).items() if times > 1]
    if repeated:
        raise CorruptFile(f"{file.uri}: the zip file holds {names.listed(repeated)} more than once")
    end = 0
    for header, member in sorted(found, key=lambda item: item[0]):
        if header < end:
            raise damaged(file, f"{member.name[:_SHOWN]!r} overlaps another member")
        end = member.start + member.packed
    return sorted((member for _, member in found), key=lambda member: member.name)


def only_member(file: SourceFile) -> Member:
    """Plans of older versions name a zip file of one member, and not the member."""
    found = members(file, entries(file))
    if len(found) != 1:
        told = names.listed([member.name[:_SHOWN] for member in found]) or "nothing"
        told = f"a zip file has to hold exactly one CSV file; this one holds {told}"
        raise CorruptFile(f"{file.uri}: {told}")
    return found[0]


def _holds_data(entry: Entry) -> bool:
    """Neither a folder, nor hidden, nor a file of file managers."""
    if entry.name.endswith(("/", "\\")):
        return False
    steps = [step for step in _STEP.split(entry.name) if step not in {".", ".."}]
    return not any(step.startswith(".") or step in _CLUTTER for step in steps)


def _member(file: SourceFile, entry: Entry) -> Member:
    """Checks the claims of *entry* against the header before its data."""
    name = f"{entry.name[:_SHOWN]!r} in the zip file"
    if entry.flags & _ENCRYPTED:
        raise NotSupported(f"{file.uri}: {name} is encrypted; write it without a password")
    if entry.method not in METHODS:
        how = _PACKED_BY.get(entry.method, f"method {entry.method}")
        raise NotSupported(f"{file.uri}: {name} is packed by {how}; pack it by Deflate, or as gzip")
    if entry.mode & _FILE_TYPE == _LINK:
        raise NotSupported(f"{file.uri}: {name} is a symbolic link; pack the file itself")
    header = pread(file, min(entry.header, file.size), _LOCAL.size)
    if len(header) == _LOCAL.size and header.startswith(b"PK\x03\x04"):
        _, _, _, method, *_, name_size, extra_size = _LOCAL.unpack(header)
        at = entry.header + _LOCAL.size
        start = at + name_size + extra_size
        found = method, pread(file, min(at, file.size), name_size)
        if found == (entry.method, entry.raw_name) and start + entry.packed <= file.size:
            return Member(entry.name, start, entry.packed, entry.method, entry.size, entry.crc)
    raise damaged(file, f"no data of {entry.name[:_SHOWN]!r} at byte {entry.header}")


def checked(data: Iterator[bytes], file: SourceFile, member: Member) -> Iterator[bytes]:
    """*data* of the member; raises CorruptFile where its size or its checksum is not the claimed one."""
    size = crc = 0
    for buffer in data:
        size += len(buffer)
        if size > member.size:
            break
        crc = isal_zlib.crc32(buffer, crc)
        yield buffer
    name = f"{file.uri}: {member.name[:_SHOWN]!r} in the zip file"
    if size != member.size:
        more = "more than " if size > member.size else ""
        raise CorruptFile(
            f"{name} has {more}{min(size, member.size):,} bytes, and is said to have {member.size:,}"
        )
    if crc != member.crc:
        raise CorruptFile(f"{name} is damaged: its checksum is wrong")
