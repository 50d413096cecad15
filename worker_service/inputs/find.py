"""From the locations of a job to its files: one walk beneath each root for all patterns together.

A folder is listed at most once, and only where a pattern needs it. A file is found once, however many
patterns it matches. A step without magic characters is looked up by its name. `**` stands for any folders;
it and `*` pass over hidden names, over links to folders and over the service's own folders. A link that a
pattern names, or that would be a file of the dataset, is an error.
"""

import fnmatch
import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from shared.core.plan import DatasetFile, Warned
from shared.core.warnings import MAX_WARNINGS
from shared.errors import LimitExceeded, SourceNotAllowed, SourceNotFound, SourceUnreadable
from shared.spec.uris import UPLOAD
from shared.storage.sources import Location, refuse_hidden
from worker_service.inputs.local import LocalFiles, identity, translated

MAX_FILES = 10_000
MAX_COMPARISONS = 10_000_000
"""Of a name with a pattern. They take some seconds."""
_MAGIC = re.compile(r"[*?[]")
_ESCAPED = re.compile(r"[%*?[\x00-\x1f\x7f\udc80-\udcff]")

Position = tuple[int, int]
"""A pattern's number, and how many of its steps have been taken."""
Positions = frozenset[Position]


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the numbers of the first two locations that mean it, or of the only one."""

    uri: str
    root: str
    below: str
    status: os.stat_result
    locations: list[int]


def find(
    local: LocalFiles, locations: Sequence[Location], max_names: int
) -> tuple[tuple[DatasetFile, ...], tuple[Warned, ...]]:
    """The files, and warnings about those that were named more than once.

    The files are in the order of the locations, and then of their paths. Raises SourceNotFound for a location
    without a file, LimitExceeded, and the errors of opening.
    """
    search = _Search(local, locations, max_names)
    found = sorted(search.run(), key=lambda file: (file.locations[0], file.below))
    first: dict[tuple[int, int], Found] = {}
    warnings: list[str] = []
    for file in found:
        same = first.setdefault(identity(file.status), file)
        if same is not file:
            warnings.append(f"{file.uri} is the same file as {same.uri}; it is counted once")
        elif len(file.locations) > 1:
            names = " and by ".join(locations[no].uri for no in file.locations)
            warnings.append(f"{file.uri} is named by {names}; it is counted once")
    files = (
        DatasetFile(uri=file.uri, root=file.root, below=file.below, **fingerprint(file.status))
        for file in first.values()
    )
    warned = (Warned("duplicate_file", detail) for detail in sorted(warnings)[:MAX_WARNINGS])
    return tuple(files), tuple(warned)


class Fingerprint(TypedDict):
    """Of a `DatasetFile`: bytes, times of the last changes in ns, inode."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def fingerprint(status: os.stat_result) -> Fingerprint:
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
    }


def uri_of(root: str, *steps: str) -> str:
    """The URI of a path. Bytes that are no text, cannot be printed or are magic in a URI are escaped."""
    return "file://" + escaped("/".join([root.rstrip("/"), *steps]))


def escaped(path: str) -> str:
    return _ESCAPED.sub(lambda odd: "".join(f"%{octet:02X}" for octet in os.fsencode(odd[0])), path)


def _has_magic(step: str) -> bool:
    return _MAGIC.search(step) is not None


def _pattern(location: Location) -> tuple[str, ...]:
    """The steps, with one `**` for several in a row; a last one stands for every file below."""
    steps = location.steps + (("*",) if location.steps[-1] == "**" else ())
    return tuple(
        step for before, step in zip(("", *steps), steps, strict=False) if not before == step == "**"
    )


class _FolderPatterns:
    """The patterns in one folder: the names to look up, and the expressions to compare its names with."""

    def __init__(self, positions: Positions, patterns: list[tuple[str, ...]]) -> None:
        self.named = defaultdict[str, set[Position]](set)
        self.anywhere = {(no, taken) for no, taken in positions if patterns[no][taken] == "**"}
        magic = defaultdict[str, set[Position]](set)
        for no, taken in positions:
            here = taken + ((no, taken) in self.anywhere)
            step = patterns[no][here]
            (magic if _has_magic(step) else self.named)[step].add((no, here + 1))
        self._magic = defaultdict[str, list[tuple[Callable[[str], Any], set[Position]]]](list)
        for step, reached in magic.items():
            beginning = _MAGIC.split(step, maxsplit=1)[0]
            self._magic[beginning].append((re.compile(fnmatch.translate(step)).match, reached))
        self._sizes = sorted(set(map(len, self._magic)))

    @property
    def lists(self) -> bool:
        return bool(self._magic or self.anywhere)

    def after(self, name: str, *, is_folder: bool) -> tuple[set[Position], int]:
        """The positions that *name* leads to, and the number of comparisons.

        No pattern matches a hidden name unless it begins with the dot too.
        """
        positions = set(self.named.get(name, ()))
        compared = 1
        for size in self._sizes:
            if (size or not name.startswith(".")) and size <= len(name):
                for matches, reached in self._magic.get(name[:size], ()):
                    compared += 1
                    if matches(name):
                        positions |= reached
        if is_folder and not name.startswith("."):
            positions |= self.anywhere
        return positions, compared + len(positions)


class _Search:
    def __init__(self, local: LocalFiles, locations: Sequence[Location], max_names: int) -> None:
        for location in locations:
            if not local.hidden:
                refuse_hidden(location)
        self._local, self._locations, self._max_names = local, locations, max_names
        self._patterns = [_pattern(location) for location in locations]
        self._literal = {no for no, steps in enumerate(self._patterns) if not any(map(_has_magic, steps))}
        self._unmet = set(range(len(locations)))
        self._pattern_sets: dict[Positions, _FolderPatterns] = {}
        self._same: dict[Positions, Positions] = {}
        self._names = self._comparisons = 0

    def run(self) -> list[Found]:
        by_root = defaultdict[tuple[str, bool], list[int]](list)
        for no, location in enumerate(self._locations):
            by_root[location.root, location.is_upload].append(no)
        found: list[Found] = []
        for numbers in by_root.values():
            for file in self._walk(numbers):
                found.append(file)
                if len(found) > MAX_FILES:
                    cure = "give narrower patterns, or several jobs"
                    raise LimitExceeded(f"source.uris name more than {MAX_FILES:,} files; {cure}")
        if self._unmet:
            no = min(self._unmet)
            uri = self._locations[no].uri
            raise SourceNotFound(f"{uri} does not exist" if no in self._literal else _unmatched(uri))
        return found

    def _walk(self, numbers: list[int]) -> Iterator[Found]:
        """The files beneath one root that the locations *numbers* mean."""
        first = self._locations[numbers[0]]
        start: tuple[str, ...] = ()
        waiting = [(start, frozenset((no, 0) for no in numbers), True)]
        while waiting:
            steps, positions, is_named = waiting.pop()
            at = Location(_uri(first, steps) if steps else first.uri, first.root, "")
            here = self._patterns_in(positions, at)
            try:
                folder = self._local.folder(at, steps)
            except SourceNotFound:
                continue  # it has just gone, or never was: then nothing in it matches
            except SourceNotAllowed:
                if is_named:
                    raise
                continue
            try:
                for name, is_folder, reached in sorted(self._met(first, steps, folder, here)):
                    path = (*steps, name)
                    by = sorted({no for no, taken in reached if taken == len(self._patterns[no])})
                    onward = frozenset(
                        (no, taken) for no, taken in reached if taken < len(self._patterns[no])
                    )
                    if is_folder and onward:
                        waiting.append((path, self._same.setdefault(onward, onward), name in here.named))
                    if by and (not is_folder or self._literal.intersection(by)):
                        self._unmet.difference_update(by)
                        yield self._found(first, path, folder, by[:2])
            finally:
                os.close(folder)

    def _patterns_in(self, positions: Positions, at: Location) -> _FolderPatterns:
        if positions not in self._pattern_sets:
            self._spend(at.uri, comparisons=len(positions))
            self._pattern_sets[positions] = _FolderPatterns(positions, self._patterns)
        return self._pattern_sets[positions]

    def _met(
        self, first: Location, steps: tuple[str, ...], folder: int, here: _FolderPatterns
    ) -> Iterator[tuple[str, bool, list[Position]]]:
        """The names in a folder that patterns lead to, whether each is a folder, the positions after it."""
        uri = _uri(first, steps)
        self._spend(uri, comparisons=len(here.named))
        for name in here.named:
            status = _status(_uri(first, (*steps, name)), name, folder)
            if status is not None:
                yield from self._after(uri, here, name, is_folder=stat.S_ISDIR(status.st_mode))
        if here.lists:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self._spend(uri, names=1)
                        if entry.name not in here.named:
                            yield from self._after(
                                uri, here, entry.name, is_folder=entry.is_dir(follow_symlinks=False)
                            )
            except OSError as error:
                raise translated(uri, error, "listed") from error

    def _after(
        self, uri: str, here: _FolderPatterns, name: str, *, is_folder: bool
    ) -> Iterator[tuple[str, bool, list[Position]]]:
        reached, compared = here.after(name, is_folder=is_folder)
        self._spend(uri, comparisons=compared)
        if reached:
            yield name, is_folder, sorted(reached)

    def _found(self, first: Location, path: tuple[str, ...], folder: int, by: list[int]) -> Found:
        uri = _uri(first, path)
        try:
            "/".join(path).encode()
        except UnicodeEncodeError as error:
            raise SourceUnreadable(
                f"{uri} has a name that is not UTF-8; rename the file or the folder"
            ) from error
        status = _status(uri, path[-1], folder)
        if status is None:
            raise SourceNotFound(f"{uri} does not exist")
        if not stat.S_ISREG(status.st_mode):
            raise SourceUnreadable(f"{uri} is not a regular file")
        return Found(uri, first.root, "/".join(path), status, by)

    def _spend(self, uri: str, *, names: int = 0, comparisons: int = 0) -> None:
        self._names += names
        self._comparisons += comparisons
        if self._names > self._max_names or self._comparisons > MAX_COMPARISONS:
            raise LimitExceeded(
                f"The patterns of source.uris met {self._names:,} names of files and folders, "
                f"in {self._comparisons:,} comparisons, the last in {uri}; the most are {self._max_names:,} "
                f"and {MAX_COMPARISONS:,}: use fewer patterns, or begin them with longer paths"
            )


def _unmatched(uri: str) -> str:
    cure = "; a ? or [ that is part of a name is written %3F or %5B" if "?" in uri or "[" in uri else ""
    return f"No file matches {uri}{cure}"


def _uri(first: Location, path: tuple[str, ...]) -> str:
    """An upload's URI does not show the folder of uploads."""
    return UPLOAD + "/".join(path) if first.is_upload else uri_of(first.root, *path)


def _status(uri: str, name: str, folder: int) -> os.stat_result | None:
    """None if there is no such name. Raises SourceUnreadable for a link."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise translated(uri, error) from error
    if stat.S_ISLNK(status.st_mode):
        raise SourceUnreadable(f"{uri} cannot be opened: goes through a symbolic link")
    return status
