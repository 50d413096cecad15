"""Every named statement is valid against the migrated schema."""

from importlib.resources import files

import asyncpg
import pytest

from shared.db.statements import Statements

TABLES = sorted(path.name.removesuffix(".sql") for path in files("shared.db").joinpath("queries").iterdir())
NAMES = [(table, name) for table in TABLES for name in Statements(table).by_name]


async def test_every_statement_prepares(database_url):
    connection = await asyncpg.connect(database_url)
    broken = {}
    for table, name in NAMES:
        try:
            await connection.prepare(Statements(table).by_name[name])
        except asyncpg.PostgresError as error:
            broken[table, name] = str(error)
    await connection.close()

    assert len(NAMES) > 40
    assert broken == {}


def test_an_unknown_statement_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = Statements("jobs").no_such_statement
