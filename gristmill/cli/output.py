"""Data on standard output: rows as the service streams them, documents, and tables for people."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gristmill.cli.options import DocumentFormat, RowFormat
from gristmill.cli.talk import say, visible

TABLE_ROWS = 50
"""Rows of a table, unless --limit says otherwise."""
Columns = Mapping[str, Callable[[Any], Any]]
"""The heads of a table, and functions that make the cells from a document."""
Streamed = Callable[[str, int | None], Iterator[bytes]]
"""The bytes of at most so many rows in a format; None means all."""


def show_rows(
    streamed: Streamed,
    shape: RowFormat,
    limit: int | None,
    kinds: Mapping[str, str],
    *,
    quiet: bool = False,
) -> None:
    """Rows in one of the formats. *kinds* are the types of the columns, for a table."""
    if shape is RowFormat.table:
        _show_row_table(streamed, TABLE_ROWS if limit is None else limit, kinds, quiet=quiet)
        return
    if shape is RowFormat.json:
        _as_array(streamed("ndjson", limit or None))
        return
    for block in streamed(str(shape), limit or None):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _show_row_table(streamed: Streamed, limit: int, kinds: Mapping[str, str], *, quiet: bool) -> None:
    """A row more than the limit is asked for: it tells that there are more."""
    text = b"".join(streamed("csv", limit + 1 if limit else None)).decode()
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    shown = rows[:limit] if limit else rows
    show_table(head, shown, {name for name in head if not kinds.get(name, "string").startswith("string")})
    if len(rows) > len(shown) and not quiet:
        say(f"The first {limit} rows; --limit 0 shows all, and --output csv writes them for programs.")


def _as_array(blocks: Iterator[bytes]) -> None:
    """The objects of NDJSON as one JSON array."""
    out, before = sys.stdout.buffer, b"[\n"
    for line in _lines(blocks):
        out.write(before + line)
        before = b",\n"
    out.write(b"[]\n" if before == b"[\n" else b"\n]\n")
    out.flush()


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str]) -> None:
    """A table of texts, as wide as they are: nothing is cut. The columns *right* stand on the right."""
    from rich.cells import cell_len

    lines = [[visible(cell) for cell in line] for line in (head, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        padded = []
        for name, cell, width in zip(head, line, widths, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if name in right else cell + space)
        text = "  ".join(padded).rstrip()
        print_line(text if number or not _has_styles() else f"\x1b[1m{text}\x1b[0m")


def _has_styles() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show_documents(documents: Iterable[Mapping[str, Any]], shape: DocumentFormat, columns: Columns) -> None:
    """A list of documents; *columns* are for a table."""
    if shape is DocumentFormat.table:
        rows = [[make(document) for make in columns.values()] for document in documents]
        values = zip(*rows, strict=True) if rows else ()
        numbers = {name for name, column in zip(columns, values, strict=False) if _are_numbers(column)}
        show_table([*columns], [[cell(value) for value in row] for row in rows], numbers)
        return
    if shape is DocumentFormat.json:
        print_line(as_json([*documents], indent=2))
        return
    for document in documents:
        print_line(as_json(document))


def show_document(document: Mapping[str, Any], shape: DocumentFormat, lines: Mapping[str, Any]) -> None:
    """One document; *lines* are its table, a name and a value each, without those that are None."""
    if shape is DocumentFormat.table:
        told = {name: value for name, value in lines.items() if value is not None}
        width = max(map(len, told), default=0)
        for name, value in told.items():
            print_line(f"{name:<{width}}  {visible(cell(value))}")
        return
    print_line(as_json(document, indent=2 if shape is DocumentFormat.json else None))


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON in the signs that standard output has."""
    is_unicode = sys.stdout.encoding.lower().startswith("utf")
    return json.dumps(value, ensure_ascii=not is_unicode, indent=indent)


def print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()  # a closed pipe shows here, and not at the end of Python


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values)


def cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(cell, value))
        case _:
            return str(value)
