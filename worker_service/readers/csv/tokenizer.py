"""CSV blocks as columns of raw text.

pyarrow tokenizes; `literals` decides the values, so that none is trimmed or guessed.
"""

from codecs import BOM_UTF8
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.spec.source import CsvOptions
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import comments
from worker_service.readers.literals import Column

TEXT, ENCODED, BINARY = pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()


def tokenize(
    block: Block, file: CsvFile, types: Mapping[str, pa.DataType], ragged: dict[int, int]
) -> pa.Table:
    """The columns of *types* as TEXT, ENCODED or BINARY, without the records of too few or too many fields.

    *ragged* gets those: their numbers, from 0, and how many fields they have. An unquoted empty field and an
    unquoted spelling of null are null; quoted ones are text, see `nulled`. Text that is no text in the
    encoding becomes text that is not UTF-8. Raises pa.ArrowInvalid for such text in a column of text, and
    in a ragged record.
    """
    data = _utf8(block, file.dialect)
    if not data.size:
        return pa.schema(list(types.items())).empty_table()
    options = file.options

    def leave_out(row: pyarrow.csv.InvalidRow) -> str:
        ragged[row.number - 1] = row.actual_columns
        return "skip"

    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        # One block: the reader's own splitting of records is not needed and has lost bytes at block borders.
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, block_size=data.size + 1, column_names=list(file.names)
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=options.delimiter,
            quote_char=options.quote or False,
            escape_char=options.escape or False,
            newlines_in_values=True,
            # In a one-column file an empty line is a record: its field is null.
            ignore_empty_lines=len(file.names) > 1,
            invalid_row_handler=leave_out,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(types),
            column_types=dict(types),
            null_values=["", *options.null_values],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


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
    null = pc.is_in(text, value_set=pa.array(["", *options.null_values]))
    return pc.if_else(null, pa.scalar(None, TEXT), text)


def _utf8(block: Block, dialect: Dialect) -> pa.Buffer:
    """The records of *block* as UTF-8 without comments.

    The parser itself checks the text of the columns in use.
    """
    spans = _spans(block, dialect) if dialect.comment else [(0, block.size)]
    data = pa.py_buffer(block.data).slice(0, block.size)
    if spans != [(0, block.size)]:
        data = pa.py_buffer(b"".join(block.data[start:stop] for start, stop in spans))
    if dialect.encoding != "utf-8" and not block.data.isascii():
        text = str(memoryview(data), dialect.encoding, "surrogateescape")
        data = pa.py_buffer(text.encode("utf-8", "surrogatepass"))
    # pyarrow drops a byte order mark at the start of every buffer; here it is text, so it gets one to drop.
    if data.slice(0, min(data.size, 3)).to_pybytes() == BOM_UTF8:
        data = pa.py_buffer(BOM_UTF8 + data.to_pybytes())
    return data


def _spans(block: Block, dialect: Dialect) -> list[tuple[int, int]]:
    """The spans between the comments.

    A carriage return before one and a line feed behind it do not become one line end.
    """
    data, spans, at = block.data, list[tuple[int, int]](), 0
    for start, end in comments(block.masked[: block.size], dialect):
        if start > at:
            spans.append((at, start))
        parted = (
            bool(spans)
            and data[spans[-1][1] - 1 : spans[-1][1]] == b"\r"
            and end < block.size
            and data[end : end + 1] == b"\n"
        )
        at = end - parted  # the comment's own line feed joins that carriage return
    return [*spans, (at, block.size)] if at < block.size else spans
