"""The delimiter of a file whose spec leaves it open.

Each candidate is tried on the first records. It fits if it splits all of them into the same number of
fields, which is more than one. If none fits, a few broken records are allowed for. A candidate fits nearly if
it splits most of them evenly, and the first one at all. If none does, the file has one column.
"""

from dataclasses import replace
from statistics import mode

from shared.core.plan import with_delimiter
from shared.errors import AmbiguousDelimiter, SchemaConflict, SourceEmpty
from shared.spec.encodings import SHARED
from shared.spec.names import quote
from shared.spec.source import SourceSpec
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.csv.file import CsvFile, csv_file
from worker_service.readers.csv.first_records import Beginning
from worker_service.readers.csv.opening import opening

CANDIDATES = ",\t;|"

Widths = dict[str, list[int]]
"""For each candidate, how many fields each of the first records has."""


def settled(files: list[SourceFile], source: SourceSpec) -> SourceSpec:
    """*source* with the delimiter of the first file that has a record, where the spec leaves it open.

    Raises AmbiguousDelimiter, and SchemaConflict if another file has another delimiter.
    """
    if source.csv.delimiter != "auto":
        return source
    if source.format == "tsv":
        return with_delimiter(source, "\t")
    taken, of, so_far = "", "", with_delimiter(source, ",")
    for file in files:
        try:
            found = _delimiter(csv_file(file, so_far), taken)
        except SourceEmpty:
            continue
        if taken and found not in (taken, None):
            told = f"the delimiter of {file.uri} is {quote(found)}, and that of {of} is {quote(taken)}"
            raise SchemaConflict(
                f"{told}; a dataset has one: give the files to two jobs, or set csv.delimiter if one is wrong"
            )
        if not taken:
            taken, of = found or ",", file.uri
            so_far = with_delimiter(source, taken)
    return so_far


def _delimiter(file: CsvFile, taken: str) -> str | None:
    """The delimiter; None if no candidate fits nearly.

    That of the files before, *taken*, needs only fit; then it is *file*'s.
    """
    opened = opening(file)
    if opened.separator:
        return opened.separator.decode(file.dialect.encoding, "replace")
    beginning = Beginning(opened)

    def widths(delimiter: str) -> list[int]:
        dialect = replace(file.dialect, delimiter=delimiter.encode())
        first = beginning.records(dialect, 1).fields
        return first if first == [1] else beginning.records(dialect).fields

    if taken and _fits(beginning.records(file.dialect).fields):
        return taken
    return _decided({found: widths(found) for found in CANDIDATES if _free(found, file)}, file)


def _free(delimiter: str, file: CsvFile) -> bool:
    """Whether it is neither another special character nor a byte of other characters of the encoding."""
    options = file.options
    taken = (options.quote, options.escape, options.comment, *SHARED.get(options.encoding, ""))
    return delimiter not in taken


def _decided(found: Widths, file: CsvFile) -> str | None:
    for fits in (_fits, _fits_nearly):
        fitting = {delimiter: widths for delimiter, widths in found.items() if fits(widths)}
        if len(fitting) == 1:
            return next(iter(fitting))
        if fitting:
            told = ", ".join(f"{quote(one)} gives {widths[0]} fields" for one, widths in fitting.items())
            raise AmbiguousDelimiter(
                f"{file.uri}: several delimiters fit the first records: {told}; "
                "set csv.delimiter to the right one"
            )
    return None


def _fits(widths: list[int]) -> bool:
    return bool(widths) and widths[0] > 1 and widths.count(widths[0]) == len(widths)


def _fits_nearly(widths: list[int]) -> bool:
    usual = mode(widths) if widths else 1
    return usual > 1 and widths[0] > 1 and widths.count(usual) * 2 > len(widths)
