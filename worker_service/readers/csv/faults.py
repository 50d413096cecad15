"""Why CSV cannot be read: the record, the column and the reason, found exactly, once reading has failed.

A record that does not fit becomes a `BadRow` value. Bytes in which no record ends provably are an error of
the file.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from functools import partial

from shared import errors
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field, Kind
from worker_service.arrow import Ints
from worker_service.readers.batch import RECORD_BYTES, SHOWN, BadRow, Fault, readable, shown
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import LINE_END, MalformedCsv
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import MASK
from worker_service.readers.literals import Column, cure, first_misfit, fits, narrowest

_BUFFER = 256 * 1024
_HELD = 4 * 1024 * 1024
"""Bytes of a record to hold in memory for the sake of a message."""


def set_encoding(encoding: str) -> str:
    """The cure for bytes that are no text in *encoding*."""
    usual = ', often "windows-1252"' if encoding == "utf-8" else ""
    return f"set csv.encoding to the encoding of the files{usual}"


def widened(
    block: Block, file: CsvFile, texts: Mapping[Field, Column], numbers: Ints, source: SourceSpec
) -> errors.SchemaWidened:
    """The type that each undeclared field needs to hold all of its *texts*, with the first culprit of each.

    The texts are of the records with these *numbers*, and each field has a misfit among them.
    """
    told, cures, kinds = list[str](), list[str](), dict[str, str]()
    for field, text in texts.items():
        wider = narrowest(text, field.wider, source, key=field.key)
        kinds[field.name] = str(wider)
        narrower = replace(field, type=DataType(_before(field, wider)))
        row = first_misfit(text, partial(_fits, narrower, source)) or 0
        [(start, _)] = file.spans(block.masked, [int(numbers[row])])
        literal = shown(text[row].as_buffer().to_pybytes(), "utf-8")
        at = block.offset + start
        # Text instead of a number may end the job. Only then is a line worth a pass over the file, or a cure.
        ends = wider == "string" and bool(field.reads)
        place = f"line {file.line(at)}, " if ends else ""
        told.append(f"{field.column!r} has {literal!r} in the record at {place}byte {at}")
        cures += filter(None, [cure(text, field, source)] if ends else [])
    return errors.SchemaWidened("; ".join([f"{', '.join(told)} of {file.uri}", *cures]), kinds)


def _before(field: Field, wider: Kind) -> Kind:
    """The kind before *wider*: its misfits are the reason for *wider*."""
    kinds = [field.type.kind, *field.wider]
    return kinds[kinds.index(wider) - 1]


def _fits(field: Field, source: SourceSpec, text: Column) -> bool:
    return fits(text, field, source)


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
    return _unended(file, record, data, before, error).error()


def _unended(file: CsvFile, offset: int, data: bytes, before: bytes, error: MalformedCsv) -> BadRow:
    """The record whose end cannot be proven. *data* begins with it, at *offset*.

    *before* are the masked bytes before the fault.
    """
    found = file.records(before + MASK)
    start, number = int(found.starts[-1]), int(found.fields[-1])
    name = file.names[number - 1] if number <= len(file.names) else number
    ended = LINE_END.search(data, len(before))
    escaped = data[: error.at - offset].endswith(b"\\") and not file.dialect.escape
    reason = _escaped(error.reason) if escaped else error.reason
    return BadRow(
        uri=file.uri,
        fault=Fault(reason, name if error.in_column else None),
        byte=offset + start,
        record=readable(
            data[start : ended.start() if ended else len(data)][:RECORD_BYTES], file.dialect.encoding
        ),
        offsets=file.content.offsets,
        line=partial(file.line, offset + start),
    )


def _escaped(reason: str) -> str:
    """*reason*, where a backslash stands before the fault. Other cures would leave it in the text."""
    finding, _, _ = reason.partition("; ")
    return f'{finding}; the backslash before it looks like an escape: set csv.escape to "\\\\"'


def explained(blocks: Iterator[Block], file: CsvFile, start: int) -> Generator[Block, None, None]:
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
