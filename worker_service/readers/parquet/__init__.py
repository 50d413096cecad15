"""Parquet: `file` opens one and names its columns, `page` reads a page header.

`plan` cuts, `read` yields batches.
"""
