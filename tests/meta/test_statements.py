"""Every named statement is valid against the migrated schema."""

from importlib.resources import files

import asyncpg
import pytest

from shared.db.statements import Statements

TABLES = sorted(path.name.removesuffix(".sql") for path in files("shared.db").joinpath("queries").iterdir())
NAMES = [(table, name) for table in TABLES for name in Statements(table).by_name]


@pytest.mark.parametrize(("table", "name"), NAMES)
async def test_the_statement_prepares(table, name, database_url):
    connection = await asyncpg.connect(database_url)
    try:
        await connection.prepare(getattr(Statements(table), name))
    finally:
        await connection.close()


def test_an_unknown_statement_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = Statements("jobs").no_such_statement
