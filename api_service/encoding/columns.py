"""Blocks of CSV, as `shared.db.row_lines` has Postgres write them, become tables of exact types."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from shared.spec.types import DataType, Kind, parse_result_type

_TYPES: dict[Kind, pa.DataType] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


def arrow_type(of: DataType) -> pa.DataType:
    element = pa.decimal128(of.precision, of.scale) if of.kind == "decimal" else _TYPES[of.kind]
    return pa.list_(element) if of.array else element


class Columns:
    """The columns of a result, as (name, type); a name may occur once."""

    def __init__(self, columns: Sequence[tuple[str, str]]) -> None:
        self.schema = pa.schema([(name, arrow_type(parse_result_type(of))) for name, of in columns])
        self._labels = [str(no) for no in range(len(columns))]
        read_as = {
            label: pa.string() if pa.types.is_list(of) else of
            for label, of in zip(self._labels, self.schema.types, strict=True)
        }
        self._options = pyarrow.csv.ConvertOptions(
            column_types=read_as,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        )

    def table(self, lines: bytes) -> pa.Table:
        """The rows of whole *lines*; raises pyarrow.ArrowInvalid for a value that its type does not hold."""
        read = pyarrow.csv.read_csv(
            pa.BufferReader(lines),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(lines) + 1, column_names=self._labels
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=self._options,
        )
        made = [
            _lists(column, of.value_type) if pa.types.is_list(of) else column
            for column, of in zip(read.columns, self.schema.types, strict=True)
        ]
        return pa.table(made, schema=self.schema)


def _lists(texts: pa.ChunkedArray, element: pa.DataType) -> pa.Array:
    """Lists of JSON arrays of texts, whose elements pyarrow casts as it reads cells."""
    column = texts.combine_chunks() if texts.num_chunks else pa.array([], pa.string())
    if not len(column):
        return pa.array([], pa.list_(element))
    lines = pc.binary_join_element_wise('{"v":', pc.fill_null(column, "null"), "}\n", "")
    read = pyarrow.json.read_json(
        pa.BufferReader(lines.buffers()[2]),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines.buffers()[2]) + 1),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=pa.schema([("v", pa.list_(pa.string()))])),
    )
    lists = read.column("v").combine_chunks()
    return pa.ListArray.from_arrays(lists.offsets, lists.values.cast(element), mask=lists.is_null())
