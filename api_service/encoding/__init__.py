"""A process of its own that makes Parquet and Arrow of rows: the gateway itself never loads pyarrow."""
