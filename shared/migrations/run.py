"""Runs the .sql file beside a revision."""

from pathlib import Path

from alembic import op


def run_sql(revision_file: str) -> None:
    """Run the statements of the .sql file beside *revision_file*.

    One at a time: a prepared statement holds only one.
    """
    for statement in Path(revision_file).with_suffix(".sql").read_text().split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
