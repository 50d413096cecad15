"""Bad rows as they are stored, and the error of a job that has too many."""

from collections.abc import Sequence

import msgspec

from shared.errors import Detail, TooManyBadRows

TOLD = 3
"""Bad rows in the error of a job that has too many."""
_PLACES = '; options.on_bad_row "fail" tells the place of the first one, "quarantine" the places of more'


class QuarantineRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bad row of a chunk; `extent` is the index of its extent among the chunk's.

    `line_of_extent` is the number of its line, from 1 where the extent begins. `name` is that of a column.
    """

    extent: int
    uri: str
    byte: int | None = None
    line_of_extent: int | None = None
    row: int | None = None
    name: str | None = None
    reason: str
    value: str | None = None
    record: str | None = None
    truncated: bool = False


def too_many_bad_rows(most: int, told: Sequence[Detail]) -> TooManyBadRows:
    """The error of a job with more than *most* bad rows; *told* are those with known places."""
    shown = "; ".join(_place(row) for row in told)
    some = f"; some of them: {shown}" if shown else _PLACES
    advice = "mend the data or the spec, or raise options.max_bad_rows"
    return TooManyBadRows(f"more than {most:,} rows are bad: {advice}{some}", errors=told)


def _place(row: Detail) -> str:
    places = (f"{name} {row[name]}" for name in ("byte", "line", "row", "column") if name in row)
    return f"{row['uri']}: {', '.join(places)}: {row['detail']}"
