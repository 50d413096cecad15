"""The files of a dataset, with the members of zip files in the place of the zip files."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from itertools import groupby

import msgspec

from shared.core.plan import DatasetFile, Warned
from shared.errors import LimitExceeded, NotSupported, SourceEmpty, SourceNotFound
from shared.spec.names import listed
from shared.spec.source import SourceSpec
from shared.storage.sources import Location
from worker_service.inputs.files import PlannedFiles
from worker_service.inputs.find import MAX_COMPARISONS, MAX_FILES, escaped, find
from worker_service.inputs.local import LocalFiles
from worker_service.readers import SourceFile
from worker_service.readers.bytes.archive import DOCUMENTS, WORKBOOK, document_in, members
from worker_service.readers.bytes.compressed import check_expansion, compression_of
from worker_service.readers.bytes.directory import Entry, entries

_OF_FILES = {"auto", "csv", "tsv", "ndjson"}
"""Formats that a member may have; the others are read in any order, which packed data do not allow."""

Patterns = list[str] | None
"""Of names of members; None means all."""


def find_files(
    local: LocalFiles, locations: Sequence[Location], source: SourceSpec, max_names: int, max_expansion: int
) -> tuple[tuple[DatasetFile, ...], tuple[Warned, ...]]:
    """The files that the locations mean, each once, and warnings about those that were named more than once.

    Locations that follow one another and name members of the same zip file are found together.
    """
    files: dict[tuple[object, ...], DatasetFile] = {}
    warnings: list[Warned] = []
    repeated: set[str] = set()
    search = _MemberSearch(local, source, max_expansion)
    for _, found in groupby(locations, key=lambda at: None if at.members is None else (at.root, at.below)):
        group = list(found)
        patterns = None if group[0].members is None else [at.members or "" for at in group]
        whole, warned = find(local, group if patterns is None else group[:1], max_names)
        warnings += warned
        for file in search.expanded(whole, patterns):
            if files.setdefault(_identity(file), file) is not file:
                repeated.add(file.uri)
            if len(files) > MAX_FILES:
                told = f"source.uris name more than {MAX_FILES:,} files, with those in zip files"
                raise LimitExceeded(f"{told}; give narrower patterns, or several jobs")
    warnings += (Warned("duplicate_file", f"{uri} is named twice; it is counted once") for uri in repeated)
    return tuple(files.values()), tuple(warnings)


def _identity(file: DatasetFile) -> tuple[object, ...]:
    return file.inode, file.ctime_ns, file.size, file.member and file.member.name


class _MemberSearch:
    """Counts the names of members that it compares, because a spec may name a zip file 10,000 times."""

    def __init__(self, local: LocalFiles, source: SourceSpec, max_expansion: int) -> None:
        self._local, self._source, self._max_expansion = local, source, max_expansion
        self._compared = 0

    def expanded(self, found: Sequence[DatasetFile], patterns: Patterns) -> Iterator[DatasetFile]:
        """The files, and those of the zip files whose members match *patterns*.

        Raises SourceEmpty, SourceNotFound, LimitExceeded, and the errors of zip files.
        """
        with PlannedFiles(self._local, found, self._max_expansion) as opened:
            for planned, file in zip(found, opened.sources, strict=True):
                inside = self._listed(file)
                if inside is not None:
                    yield from self._members(planned, file, inside, patterns)
                elif patterns is None:
                    yield planned
                else:
                    told = "is not read as a zip file, so no member of it can be named"
                    raise SourceNotFound(f"{file.uri} {told}")

    def _listed(self, file: SourceFile) -> list[Entry] | None:
        """The members of a zip file of files; None for another file."""
        source = self._source
        if source.compression not in {"auto", "zip"} or source.format not in _OF_FILES:
            return None
        if compression_of(file, source.compression) != "zip":
            return None
        found = list(entries(file))
        kind = document_in(found)
        if kind is None:
            return found
        if kind == WORKBOOK and source.format == "auto":
            return None
        name, cure = DOCUMENTS[kind]
        raise NotSupported(f"{file.uri} is {name}: {cure}")

    def _members(
        self, planned: DatasetFile, file: SourceFile, inside: list[Entry], patterns: Patterns
    ) -> Iterator[DatasetFile]:
        self._compared += len(inside) * len(patterns or "1")
        if self._compared > MAX_COMPARISONS:
            told = (
                f"source.uris compare more than {MAX_COMPARISONS:,} names of members, the last of {file.uri}"
            )
            raise LimitExceeded(f"{told}: use fewer patterns")
        matches = re.compile("|".join(map(translate, patterns or "*"))).match
        found = members(file, (entry for entry in inside if matches(entry.name)))
        check_expansion(file, "zip", sum(member.size for member in found))
        if not found and patterns is None:
            raise SourceEmpty(f"{file.uri}: the zip file holds no files")
        if not found:
            held = listed([entry.name for entry in inside]) or "nothing"
            raise SourceNotFound(f"No member of {file.uri} matches {listed(patterns or ())}; it holds {held}")
        for member in found:
            yield msgspec.structs.replace(
                planned, uri=f"{planned.uri}!/{escaped(member.name)}", member=member
            )
