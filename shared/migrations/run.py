"""Runs the SQL of revisions."""

from pathlib import Path

from alembic import op

_NEW_STATE_VERSION = Path(__file__).with_name("new_state_version.sql")


def run_sql(revision_file: str) -> None:
    """Run the statements of the .sql file beside *revision_file*."""
    _run(Path(revision_file).with_suffix(".sql").read_text())


def begin_jobs_anew(version: int) -> None:
    """Plan each job again that has units of a state version before *version* and can still go on."""
    _run(_NEW_STATE_VERSION.read_text().replace("{version}", str(version)))


def _run(text: str) -> None:
    """Run the statements one at a time: a prepared statement holds only one."""
    for statement in text.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
