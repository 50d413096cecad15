"""A declarative class of SQLAlchemy."""

from gristmill.client.documents import ResultDocument
from gristmill.models.columns import Column, class_name, columns, literal, schema_and_view

_TYPES = {
    "bool": ("bool", "sa.Boolean"),
    "int64": ("int", "sa.BigInteger"),
    "float64": ("float", "sa.Double"),
    "decimal": ("decimal.Decimal", "sa.Numeric"),
    "string": ("str", "sa.Text"),
    "date": ("dt.date", "sa.Date"),
    "timestamp": ("dt.datetime", "sa.DateTime"),
    "timestamptz": ("dt.datetime", "sa.DateTime(timezone=True)"),
}
"""The type in Python and that of the column."""

TAKEN = frozenset(
    {"metadata", "registry", "Base", "bool", "decimal", "dt", "float", "int", "list", "orm", "sa", "str"}
)
"""Names that SQLAlchemy keeps for itself, then those that the text uses."""

_IMPORTS = {"dt": "import datetime as dt\n", "decimal": "import decimal\n"}

_TEXT = '''\
# The rows of {relation}, read-only; printed by `gristmill models --sqlalchemy {name}`.

{imports}import sqlalchemy as sa
from sqlalchemy import orm


class Base(orm.DeclarativeBase):
    """Of results only, so that `create_all` and the migrations of your own base leave them alone."""


class {model}(Base):
    __tablename__ = "{view}"
    __table_args__ = {{"schema": "{schema}"}}

    _id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True)
{fields}
'''


def declarative(result: ResultDocument) -> str:
    """A Python module with the class and a base of its own; raises ValueError for an unknown type."""
    found = columns(result, TAKEN)
    schema, view = schema_and_view(result)
    modules = {_TYPES[column.kind][0].partition(".")[0] for column in found}
    imports = "".join(line for module, line in _IMPORTS.items() if module in modules)
    return _TEXT.format(
        **result,
        imports=imports + "\n" if imports else "",
        model=class_name(result, TAKEN),
        fields="\n".join(f"    {column.attribute}: {_field(column)}" for column in found),
        schema=schema,
        view=view,
    )


def _field(column: Column) -> str:
    python, sql = _TYPES[column.kind]
    if column.digits:
        sql += str(column.digits)
    if column.array:
        python, sql = f"list[{python}]", f"sa.ARRAY({sql})"
    named = f"{literal(column.name)}, " if column.renamed else ""
    return f"orm.Mapped[{python} | None] = orm.mapped_column({named}{sql})"
