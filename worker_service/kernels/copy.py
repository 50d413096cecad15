"""Results as the CSV that Postgres' COPY reads."""

import pyarrow as pa
import pyarrow.csv

from worker_service.kernels.finalize import Finalized


def to_copy_csv(finalized: Finalized) -> bytes:
    """`_id` and the columns for COPY ... (FORMAT csv), without a header: a null is empty, a string always quoted, a double its shortest exact text."""
    table = finalized.table.add_column(0, "_id", pa.array(finalized.ids))
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=1 << 14)
    pyarrow.csv.write_csv(table, sink, options)
    return bytes(sink.getvalue())
