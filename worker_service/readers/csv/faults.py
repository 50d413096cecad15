"""Why CSV cannot be read: the record, the column and the reason, found exactly, once reading has failed.

A record that does not fit becomes a `BadRow` value. Bytes in which no record ends provably are an error of
the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from shared import errors
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field, Kind
from worker_service.readers import literals
from worker_service.readers.batch import SHOWN, BadRow, shown
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import LINE_END, MalformedCsv
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import MASK
from worker_service.readers.csv.tokenizer import tokenize
from worker_service.readers.csv.tokens import Odd
from worker_service.readers.csv.unreadable import wrong_byte
from worker_service.readers.literals import Column, first_misfit, narrowest

SET_ENCODING = "set csv.encoding to the encoding of the files"
_BUFFER = 256 * 1024
_HELD = 4 * 1024 * 1024
"""Bytes of a record to hold in memory for the sake of a message."""


class BadRecord(Exception):
    """Carries the first bad row of a block to the reader, which yields it, or to the planner, which fails."""

    def __init__(self, row: BadRow) -> None:
        super().__init__(row)
        self.row = row


def tokenized(block: Block, file: CsvFile, types: Mapping[str, pa.DataType]) -> pa.Table:
    """See `tokenize`; raises BadRecord for the first odd record."""
    tokens = tokenize(block, file, types)
    if tokens.odd:
        raise BadRecord(odd_rows(block, file, tokens.odd[:1])[0])
    return tokens.table


def odd_rows(block: Block, file: CsvFile, odd: Sequence[Odd]) -> list[BadRow]:
    """The bad rows for the *odd* records of *block*."""
    masked, found = block.masked[: block.size], list[BadRow]()
    for record, span in zip(odd, file.spans(masked, [record.number for record in odd]), strict=True):
        if record.column is None:
            reason = f"{record.fields} fields instead of {len(file.names)}"
            found.append(_bad_row(block, file, span, reason))
            continue
        at = wrong_byte(block.data, masked, file.dialect, span, record.column)
        octet, byte = block.data[at], block.offset + at
        reason = f"byte {byte}: 0x{octet:02x} is not {file.dialect.encoding}; {SET_ENCODING}"
        found.append(
            replace(
                _bad_row(block, file, span, reason if octet else f"a NUL byte at byte {byte}"),
                column=file.names[record.column] if record.column < len(file.names) else record.column + 1,
                unreadable=bool(octet),
            )
        )
    return found


def misfit(
    block: Block, file: CsvFile, texts: Mapping[str, Column], fields: Sequence[Field], source: SourceSpec
) -> BadRow:
    """Of *fields*, all of whose *texts* hold misfits: the first record with a misfit of a declared one.

    If none is declared, raises SchemaWidened with the type that each needs for the whole block.
    """
    rows = file.records(block.masked)
    declared = [field for field in fields if field.declared]
    if declared:
        found = [(_first(texts[field.name], field, source), field) for field in declared]
        row, field = min(found, key=lambda pair: pair[0])
        reason = f"{_literal(texts[field.name], row)!r} is no {field.type}"
        return _bad_row(block, file, rows.span(row), reason, column=field.column)
    wider = {f.name: narrowest(texts[f.name], f.wider, source) for f in fields}
    told = []
    for f in fields:
        row = _first(texts[f.name], _next_narrower(f, wider[f.name]), source)
        start, _ = rows.span(row)
        literal = _literal(texts[f.name], row)
        told.append(f"{f.column!r} has {literal!r} in the record at byte {block.offset + start}")
    kinds = {name: str(kind) for name, kind in wider.items()}
    raise errors.SchemaWidened(f"{', '.join(told)} of {file.uri}", kinds)


def _next_narrower(field: Field, wider: Kind) -> Field:
    """A field of the kind before *wider*: its misfits are the reason for *wider*."""
    kinds = [field.type.kind, *field.wider]
    return replace(field, type=DataType(kinds[kinds.index(wider) - 1]))


def _first(text: Column, field: Field, source: SourceSpec) -> int:
    return first_misfit(text, lambda values: literals.fits(values, field, source)) or 0


def _literal(text: Column, row: int) -> str:
    return shown(text[row].as_buffer().to_pybytes(), "utf-8")


def _bad_row(
    block: Block, file: CsvFile, span: tuple[int, int], reason: str, column: str | None = None
) -> BadRow:
    start, stop = span
    raw = shown(block.data[start:stop], file.dialect.encoding)
    byte = block.offset + start
    located = partial(file.located, byte)
    return BadRow(uri=file.uri, reason=reason, byte=byte, column=column, raw=raw, located=located)


def _with_byte(file: CsvFile, offset: int, data: bytes, before: bytes, reason: str) -> BadRow:
    """The record with a bad byte. *data* begins with a record at *offset*.

    *before* are the masked bytes before the bad one.
    """
    found = file.records(before + MASK)
    start, number = int(found.starts[-1]), int(found.fields[-1])
    ended = LINE_END.search(data, len(before))
    return BadRow(
        uri=file.uri,
        reason=reason,
        byte=offset + start,
        column=file.names[number - 1] if number <= len(file.names) else number,
        raw=shown(data[start : ended.start() if ended else len(data)], file.dialect.encoding),
        located=partial(file.located, offset + start),
    )


def malformed(file: CsvFile, error: MalformedCsv, start: int) -> errors.GristmillError:
    """The error of the job for *error*: no record end is provable, so no bad row can be told from the rest.

    The content is read again, from its first record at *start*, to find the record and the column.
    """
    scanner = file.record_scanner(start)
    for buffer in _first_bytes(file.buffers(_BUFFER, start), error.at - start):
        scanner.feed(buffer)
    record, known = scanner.record, error.at - scanner.record
    if known > _HELD:
        return errors.BadRow(f"{file.located(error.at)}: {error.reason}")
    data = b"".join(_first_bytes(file.buffers(_BUFFER, record), known + 4 * SHOWN))
    before = file.scanner(record).feed(data[:known]) if known else b""
    found = _with_byte(file, record, data, before, error.reason)
    return (found if error.in_column else replace(found, column=None)).error()


def explained(blocks: Iterator[Block], file: CsvFile, start: int) -> Iterator[Block]:
    """*blocks*, whose first begins at the record start *start*; MalformedCsv becomes the error of the job."""
    try:
        yield from blocks
    except MalformedCsv as error:
        raise malformed(file, error, start) from error


def _first_bytes(buffers: Iterator[bytes], count: int) -> Iterator[bytes]:
    for buffer in buffers:
        if count <= 0:
            break
        yield buffer[:count]
        count -= len(buffer)
