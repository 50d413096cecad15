"""CSV blocks as columns of raw text.

pyarrow tokenizes; `literals` decides the values, so that none is trimmed or guessed.
"""

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.spec.source import CsvOptions
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.plain import Span, padded, plain
from worker_service.readers.csv.tokens import Odd, Tokens
from worker_service.readers.csv.unreadable import not_utf8, undecodable, uneven, with_nul, wrong_rows
from worker_service.readers.literals import Column

TEXT, ENCODED, BINARY = pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()


def tokenize(block: Block, file: CsvFile, types: Mapping[str, pa.DataType]) -> Tokens:
    """The columns of *types* as TEXT, ENCODED or BINARY.

    An unquoted empty field and an unquoted spelling of null are null; quoted ones are text, see `nulled`. The
    text of BINARY is not checked to be UTF-8. With `short_rows: null` short records are padded with nulls.
    """
    tokens = _tokens(block, file, types)
    if file.options.short_rows == "bad_row":
        return tokens
    width = len(file.names)
    short = {record.number: record.fields for record in tokens.odd if record.fields and record.fields < width}
    if not short:
        return tokens
    missing = {number: width - fields for number, fields in short.items()}
    return replace(_tokens(padded(block, file, missing), file, types), padded=tuple(short.values()))


def _tokens(block: Block, file: CsvFile, types: Mapping[str, pa.DataType]) -> Tokens:
    try:
        tokens = _others(block, file, types, [])
    except UnicodeDecodeError:
        tokens = _others(block, file, types, list(undecodable(block, file)))
    except pa.ArrowInvalid:  # the parser does not hand over a ragged record that is not UTF-8
        tokens = _others(block, file, types, list(uneven(block, file)))
    if block.data.find(b"\0", 0, block.size) >= 0:
        return tokens.without(wrong_rows(tokens.table, file, with_nul))
    return tokens


def _others(
    block: Block, file: CsvFile, types: Mapping[str, pa.DataType], aside: list[tuple[Odd, Span]]
) -> Tokens:
    """The columns of all records but those *aside*, each with its span up to the next one."""
    data, delimiter = plain(block, file, [span for _, span in aside])
    tokens = _checked(_utf8(data, file.dialect.encoding), delimiter, file, types)
    if not aside:
        return tokens
    known = [record for record, _ in aside]
    numbers = Tokens(tokens.table, tuple(known)).numbers(
        np.array([odd.number for odd in tokens.odd], np.int64)
    )
    others = (odd._replace(number=int(no)) for odd, no in zip(tokens.odd, numbers, strict=True))
    return Tokens(tokens.table, tuple(sorted([*known, *others])))


def _checked(text: pa.Buffer, delimiter: bytes, file: CsvFile, types: Mapping[str, pa.DataType]) -> Tokens:
    """The columns; records with text that is not UTF-8 are odd."""
    if not text.size:
        return Tokens(pa.schema(list(types.items())).empty_table())
    try:
        with _quiet():
            return _split(text, delimiter, file, types)
    except pa.ArrowInvalid:
        with _quiet():
            raw = _split(text, delimiter, file, dict.fromkeys(types, BINARY))
        checked = raw.table.select([name for name, kind in types.items() if kind != BINARY])
        sound = raw.without(wrong_rows(checked, file, not_utf8))
        return Tokens(sound.table.cast(pa.schema(list(types.items()))), sound.odd)


@contextmanager
def _quiet() -> Iterator[None]:
    """The parser tells on standard error about a ragged record that it does not hand over."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _split(text: pa.Buffer, delimiter: bytes, file: CsvFile, types: Mapping[str, pa.DataType]) -> Tokens:
    """The columns; ragged records are odd. Raises pa.ArrowInvalid for text that is not UTF-8."""
    options, ragged = file.options, list[Odd]()
    # The parser gets numbers for names: names may occur twice.
    numbers = {name: str(number) for number, name in enumerate(file.names)}
    raw = [] if file.dialect.escape else options.null_values  # else `plain` has emptied these fields

    def pass_over(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(Odd(row.number - 1, fields=row.actual_columns))
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        # One block: the reader's own splitting of records is not needed and has lost bytes at block borders.
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False,
            block_size=text.size + 1,
            column_names=[str(number) for number in range(len(file.names))],
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter.decode(),
            quote_char=options.quote or False,
            escape_char=options.escape or False,
            newlines_in_values=True,
            # In a one-column file an empty line is a record: its field is null.
            ignore_empty_lines=len(file.names) > 1,
            invalid_row_handler=pass_over,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=[numbers[name] for name in types],
            column_types={numbers[name]: kind for name, kind in types.items()},
            null_values=["", *raw],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return Tokens(table.rename_columns(list(types)), tuple(ragged))


def column(table: pa.Table, name: str) -> Column:
    """A column of a tokenized table as one array; BINARY is viewed as TEXT, unchecked."""
    chunked = table.column(name)
    whole = (
        chunked.chunk(0)
        if chunked.num_chunks == 1
        else pa.concat_arrays(chunked.chunks)
        if chunked.num_chunks
        else pa.array([], chunked.type)
    )
    return whole.view(TEXT) if whole.type == BINARY else whole


def nulled(text: Column, options: CsvOptions) -> Column:
    """*text* of a column that is not of strings: quoted empty fields and spellings of null are null too."""
    spelled = [value for value in options.null_values if not options.escape or options.escape not in value]
    null = pc.is_in(text, value_set=pa.array(["", *spelled]))
    return pc.if_else(null, pa.scalar(None, TEXT), text)


def _utf8(data: bytes | memoryview, encoding: str) -> pa.Buffer:
    """*data* as UTF-8. Where that is their encoding, the parser itself checks the columns in use."""
    if encoding != "utf-8":
        data = str(data, encoding).encode()
    buffer = pa.py_buffer(data)
    # pyarrow drops a byte order mark at the start of every buffer; here it is text, so it gets one to drop.
    if buffer.slice(0, min(buffer.size, 3)).to_pybytes() == BOM_UTF8:
        return pa.py_buffer(BOM_UTF8 + buffer.to_pybytes())
    return buffer
