"""DDL of the user-shaped tables: one table a job in `gristmill_results`, stable views in `results`.

SQLAlchemy Core quotes every identifier, so that a column may have any name that the spec allows.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    MetaData,
    Numeric,
    Table,
    Text,
    schema,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.types import TypeEngine

from shared.core.relations import TABLES, reader_role, view_schema
from shared.spec.types import DataType, Kind, parse_result_type

_DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # the default one doubles % in identifiers
_QUOTE = _DIALECT.identifier_preparer.quote

_TYPES: dict[Kind, TypeEngine[Any]] = {
    "bool": Boolean(),
    "int64": BigInteger(),
    "float64": DOUBLE_PRECISION(),
    "string": Text(collation="C"),
    "date": Date(),
    "timestamp": DateTime(),
    "timestamptz": DateTime(timezone=True),
}


def sql_type(data_type: DataType) -> TypeEngine[Any]:
    if data_type.array:
        return ARRAY(sql_type(replace(data_type, array=False)), dimensions=1)
    if data_type.kind == "decimal":
        return Numeric(data_type.precision, data_type.scale)
    return _TYPES[data_type.kind]


def result_table(relation: str, columns: Iterable[dict[str, str]]) -> Table:
    """The table of one version: `_id`, then the result's columns in order."""
    made = [Column(c["name"], sql_type(parse_result_type(c["type"]))) for c in columns]
    return Table(relation, MetaData(schema=TABLES), Column("_id", BigInteger, nullable=False), *made)


_GONE = "it was dropped or renamed"


class TableColumn(msgspec.Struct, frozen=True):
    """A column of a version's table as it is now."""

    name: str
    type: str
    dropped: bool


def changes(columns: Iterable[dict[str, str]], now: list[TableColumn] | None) -> list[str]:
    """The changes of a version's table since it was made with *columns*.

    *now* are its columns today in the order in which they were made, those that were dropped included; None:
    there is no table.
    """
    if now is None:
        return [_GONE]
    made = [{"name": "_id", "type": "int64"}, *columns]
    return [said for was, became in zip(made, now, strict=False) if (said := _change(was, became))]


def losses(names: Iterable[str], now: list[TableColumn] | None) -> list[str]:
    """As `changes`, of a table made with columns of these names, whatever their types."""
    if now is None:
        return [_GONE]
    return [said for name, became in zip(["_id", *names], now, strict=False) if (said := _loss(name, became))]


def _change(was: dict[str, str], became: TableColumn) -> str | None:
    name, made = was["name"], sql_type(parse_result_type(was["type"])).compile(dialect=_DIALECT).lower()
    made = made.partition(" collate")[0].replace(", ", ",")
    same = None if became.type == made else f"its column {name!r} is now {became.type}, and was {made}"
    return _loss(name, became) or same


def _loss(name: str, became: TableColumn) -> str | None:
    if became.dropped:
        return f"its column {name!r} was dropped"
    return None if became.name == name else f"its column {name!r} is now named {became.name!r}"


def _compiled(ddl: schema.ExecutableDDLElement) -> str:
    return str(ddl.compile(dialect=_DIALECT)).strip()


def create_table(relation: str, columns: Iterable[dict[str, str]]) -> str:
    return _compiled(schema.CreateTable(result_table(relation, columns)))


def drop_table(relation: str) -> str:
    return f"DROP TABLE IF EXISTS {TABLES}.{_QUOTE(relation)}"


def widen_column(relation: str, column: str) -> str:
    return f"ALTER TABLE {TABLES}.{_QUOTE(relation)} ALTER COLUMN {_QUOTE(column)} TYPE numeric(38, 0)"


def keep_columns(relation: str) -> str:
    """Lock the table as COPY does: until the transaction ends, no column of it changes."""
    return f"LOCK TABLE {TABLES}.{_QUOTE(relation)} IN ROW EXCLUSIVE MODE"


ANY_NUMERIC = """
SELECT EXISTS (
    SELECT FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND attname = ANY($3::text[]) AND atttypid = 'numeric'::regtype
)"""
"""Whether one of the columns $3 of the table $1.$2 is numeric."""


def row_index(relation: str) -> str:
    """The index of `primary_key`: other indexes may be made at the same time, which a constraint forbids.

    Rows lie nearly in its order, so that Postgres' parallel workers would cost more than they do.
    """
    index = f"CREATE UNIQUE INDEX {_QUOTE(relation + '_pkey')} ON {TABLES}.{_QUOTE(relation)} (_id)"
    return f"SET LOCAL max_parallel_maintenance_workers = 0; {index}"


def primary_key(relation: str) -> str:
    name = _QUOTE(relation + "_pkey")
    return f"ALTER TABLE {TABLES}.{_QUOTE(relation)} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {name}"


def key_index(relation: str, keys: list[str]) -> str:
    """Group keys may be null, so they cannot be a primary key; two null keys are the same group."""
    name, columns = _QUOTE(relation + "_key"), ", ".join(_QUOTE(key) for key in keys)
    return f"CREATE UNIQUE INDEX {name} ON {TABLES}.{_QUOTE(relation)} ({columns}) NULLS NOT DISTINCT"


def extra_index(relation: str, no: int, columns: list[str]) -> str:
    """An index of `output.indexes`: a leading minus means descending.

    Nulls come last both ways, as the rows are served.
    """
    terms = [
        f"{_QUOTE(c.removeprefix('-'))} {'DESC' if c.startswith('-') else 'ASC'} NULLS LAST" for c in columns
    ]
    return f"CREATE INDEX {_QUOTE(f'{relation}_{no}')} ON {TABLES}.{_QUOTE(relation)} ({', '.join(terms)})"


def analyze(relation: str) -> str:
    return f"ANALYZE {TABLES}.{_QUOTE(relation)}"


def count_rows(relation: str) -> str:
    return f"SELECT count(*) FROM {TABLES}.{_QUOTE(relation)}"  # noqa: S608  # the identifier is quoted


def replace_view(tenant: str, name: str, relation: str, columns: Iterable[dict[str, str]]) -> str:
    """Same columns only; Postgres refuses others, and grants on the view survive."""
    names = ", ".join(_QUOTE(c) for c in ["_id", *(c["name"] for c in columns)])
    rows = f"SELECT {names} FROM {TABLES}.{_QUOTE(relation)}"  # noqa: S608  # every identifier is quoted
    return f"CREATE OR REPLACE VIEW {_QUOTE(view_schema(tenant))}.{_QUOTE(name)} AS {rows}"


def drop_view(tenant: str, name: str) -> str:
    """Refused while other objects depend on it. It does nothing if there is no such view."""
    return f"DROP VIEW IF EXISTS {_QUOTE(view_schema(tenant))}.{_QUOTE(name)}"


def create_reader(tenant: str) -> str:
    return f"CREATE ROLE {_QUOTE(reader_role(tenant))}"


def create_view_schema(tenant: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {_QUOTE(view_schema(tenant))}"


def open_view_schema(tenant: str) -> str:
    return f"GRANT USAGE ON SCHEMA {_QUOTE(view_schema(tenant))} TO {_QUOTE(reader_role(tenant))}"


def grant_select(schema_name: str, relation: str, role: str) -> str:
    return f"GRANT SELECT ON {_QUOTE(schema_name)}.{_QUOTE(relation)} TO {_QUOTE(role)}"
