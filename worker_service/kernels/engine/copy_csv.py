"""Result rows as the CSV that Postgres' COPY reads."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from worker_service.arrow import Array, as_array, is_string
from worker_service.kernels.engine.finalize import Finalized


def to_copy_csv(finalized: Finalized) -> bytes:
    """`_id` and the columns for COPY ... (FORMAT csv), without a header.

    A null is empty, a string is always quoted. A double is its shortest exact text. An array is Postgres'
    array literal, `{1,2}`.
    """
    columns = {name: _without_lists(as_array(finalized.table[name])) for name in finalized.table.column_names}
    table = pa.table(list(columns.values()), list(columns)).add_column(0, "_id", pa.array(finalized.ids))
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=1 << 14)
    pyarrow.csv.write_csv(table, sink, options)
    return bytes(sink.getvalue())


def _without_lists(column: Array) -> Array:
    """Lists as array literals, other columns as they are."""
    if not pa.types.is_list(column.type):
        return column
    elements = column.flatten()
    if is_string(elements):
        escaped = pc.replace_substring(pc.replace_substring(elements, "\\", "\\\\"), '"', '\\"')
        elements = pc.binary_join_element_wise('"', escaped, '"', "")
    lengths = np.asarray(pc.list_value_length(column).fill_null(0))
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    texts = pa.ListArray.from_arrays(pa.array(bounds), elements.cast(pa.utf8()), mask=column.is_null())
    return pc.binary_join_element_wise("{", pc.binary_join(texts, ","), "}", "")
