"""The members of zip files take the place of the zip files in a dataset."""

from collections.abc import Iterator, Sequence

import msgspec

from shared.core.plan import DatasetFile, Warned
from shared.errors import LimitExceeded, NotSupported, SourceEmpty
from shared.spec.source import SourceSpec
from worker_service.inputs.files import PlannedFiles
from worker_service.inputs.find import MAX_FILES, escaped
from worker_service.inputs.local import LocalFiles
from worker_service.readers import SourceFile
from worker_service.readers.bytes.archive import DOCUMENTS, WORKBOOK, document_in, members
from worker_service.readers.bytes.compressed import check_expansion, compression_of

_OF_FILES = {"auto", "csv", "tsv", "ndjson"}
"""Formats that a member may have; the others are read in any order, which packed data do not allow."""


def with_members(
    local: LocalFiles, found: Sequence[DatasetFile], source: SourceSpec, max_expansion: int
) -> tuple[tuple[DatasetFile, ...], tuple[Warned, ...]]:
    """The files, with each zip file replaced by its members, and warnings about members without data.

    Raises NotSupported and CorruptFile for a zip file that cannot be read, SourceEmpty for one that holds
    nothing, LimitExceeded.
    """
    if source.compression not in {"auto", "zip"} or source.format not in _OF_FILES:
        return tuple(found), ()
    files: list[DatasetFile] = []
    empty: list[str] = []
    with PlannedFiles(local, found, max_expansion) as opened:
        for planned, file in zip(found, opened.sources, strict=True):
            inside = list(_inside(planned, file)) if _is_archive(file, source) else [planned]
            files += [one for one in inside if one.member is None or one.member.size]
            empty += [one.uri for one in inside if one.member and not one.member.size]
            if len(files) > MAX_FILES:
                told = f"source.uris name more than {MAX_FILES:,} files, with those in zip files"
                raise LimitExceeded(f"{told}; give narrower patterns, or several jobs")
    if not files:
        raise SourceEmpty(f"{found[0].uri}: the zip file holds no files with data")
    warnings = (Warned("empty_file", f"{uri} is empty; it is left out") for uri in sorted(empty))
    return tuple(files), tuple(warnings)


def _is_archive(file: SourceFile, source: SourceSpec) -> bool:
    """Whether it is a zip file of files. Raises NotSupported for a document that the format cannot be."""
    if compression_of(file, source.compression) != "zip":
        return False
    kind = document_in(file)
    if kind is None:
        return True
    if kind == WORKBOOK and source.format == "auto":
        return False
    name, cure = DOCUMENTS[kind]
    raise NotSupported(f"{file.uri} is {name}: {cure}")


def _inside(planned: DatasetFile, file: SourceFile) -> Iterator[DatasetFile]:
    inside = members(file)
    check_expansion(file, "zip", sum(member.size for member in inside))
    for member in inside:
        yield msgspec.structs.replace(planned, uri=f"{planned.uri}!/{escaped(member.name)}", member=member)
