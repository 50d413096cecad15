"""CSV blocks as columns of raw text.

pyarrow tokenizes; what the text means is decided by `literals`, so that no value is trimmed or guessed.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from shared.spec.source import CsvOptions
from worker_service.readers.csv_split import Block
from worker_service.readers.csv_utf8 import utf8
from worker_service.readers.literals import Column
from worker_service.readers.shape import Dialect

TEXT, ENCODED, OCTETS = pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()


def tokenize(
    block: Block,
    names: Sequence[str],
    types: Mapping[str, pa.DataType],
    options: CsvOptions,
    dialect: Dialect,
) -> pa.Table:
    """The columns of *types* as text, dictionary-encoded text or octets.

    Every record is checked to have len(names) fields.

    An unquoted empty field and an unquoted spelling of null are null; quoted ones are text, see `nulled`.
    Raises pa.ArrowInvalid for a ragged record and for text that is not UTF-8, and BadByte.
    """
    data = utf8(block, dialect)
    if not data.size:
        return pa.schema(list(types.items())).empty_table()
    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        # One block: the reader's own splitting of records is not needed and has lost bytes at block borders.
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, block_size=data.size + 1, column_names=list(names)
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=options.delimiter,
            quote_char=options.quote or False,
            escape_char=options.escape or False,
            newlines_in_values=True,
            ignore_empty_lines=len(names)
            > 1,  # in a one-column file an empty line is a record: its field is null
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
    """A column of a `tokenize`d table, in one piece; octets are viewed as text."""
    chunked = table.column(name)
    whole = (
        chunked.chunk(0)
        if chunked.num_chunks == 1
        else pa.concat_arrays(chunked.chunks)
        if chunked.num_chunks
        else pa.array([], chunked.type)
    )
    return whole.view(TEXT) if whole.type == OCTETS else whole


def nulled(text: Column, options: CsvOptions) -> Column:
    """What is null in a column that is not of strings: also a quoted empty field and a quoted spelling of null."""
    null = pc.is_in(text, value_set=pa.array(["", *options.null_values]))
    return pc.if_else(null, pa.scalar(None, TEXT), text)
