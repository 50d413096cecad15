"""Frames of rows: pyarrow, pandas and polars, each loaded when it is asked for."""

from typing import Any

from gristmill.client.errors import MissingPackage


def pyarrow(method: str) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.ipc  # noqa: PLC0415
    except ImportError:
        raise MissingPackage.of("pyarrow", method) from None
    return pa


def table(data: bytearray) -> Any:
    """A pyarrow.Table over the bytes of an Arrow stream, which are not copied."""
    pa = pyarrow("to_arrow()")
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def to_pandas(rows: Any) -> Any:
    """A pandas.DataFrame of a table.

    Integers and bools with nulls have pandas' nullable types, so they stay exact.
    """
    try:
        import pandas as pd  # noqa: PLC0415
    except ImportError:
        raise MissingPackage.of("pandas", "to_pandas()") from None
    frame = rows.to_pandas()
    nullable = {"int64": pd.Int64Dtype(), "bool": pd.BooleanDtype()}
    for index, field in enumerate(rows.schema):
        if str(field.type) in nullable and rows.column(index).null_count:
            exact = rows.column(index).to_pandas(types_mapper=lambda kind: nullable[str(kind)])
            frame.isetitem(index, exact)
    return frame


def to_polars(rows: Any) -> Any:
    """A polars.DataFrame of a table."""
    try:
        import polars as pl  # noqa: PLC0415
    except ImportError:
        raise MissingPackage.of("polars", "to_polars()") from None
    return pl.from_arrow(rows)
