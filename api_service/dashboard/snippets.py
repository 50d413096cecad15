"""How programs read a result: commands and code to copy, each of which runs as it is. Pure."""

import json
import shlex
from dataclasses import dataclass

_ENGINE = """\
import os

{imports}

engine = sa.create_engine(os.environ["GRISTMILL_DSN"].replace("postgresql:", "postgresql+psycopg:", 1))
"""


@dataclass(frozen=True, slots=True)
class Snippet:
    """*needs* names the packages and the variables of the environment that it uses."""

    id: str
    title: str
    needs: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the rows are: *relation* for SQL, *parquet* for HTTP. *gateway* is the URL of the service.

    With *keyed* the gateway needs an API key. *version* is None for the current one.
    """

    relation: str
    parquet: str
    gateway: str
    name: str | None
    version: int | None
    job_id: str
    keyed: bool


_DSN = "GRISTMILL_DSN is the DSN of a login that reads results."
_KEY = " GRISTMILL_API_KEY has an API key."


def snippets(source: Source) -> list[Snippet]:
    made = (_psql, _sdk, _pandas, _polars, _sqlalchemy)
    return [*(make(source) for make in made), *_models(source)]


def _select(source: Source) -> str:
    return f"SELECT * FROM {source.relation}"  # noqa: S608  # the name is of a-z, 0-9 and _


def _psql(source: Source) -> Snippet:
    select = shlex.quote(f"{_select(source)} ORDER BY _id LIMIT 10")
    return Snippet("psql", "SQL", _DSN, f'psql "$GRISTMILL_DSN" -c {select}')


def _sdk(source: Source) -> Snippet:
    if source.name is None:
        result = f"client.job({_text(source.job_id)}).result()"
    else:
        version = "" if source.version is None else f", version={source.version}"
        result = f"client.result({_text(source.name)}{version})"
    code = f"""\
from gristmill import Client

client = Client({_text(source.gateway)})
result = {result}
for row in result.rows(limit=10):
    print(row)"""
    return Snippet("sdk", "Python SDK", f"pip install gristmill.{_KEY * source.keyed}", code)


def _pandas(source: Source) -> Snippet:
    key = ', storage_options={"Authorization": "Bearer " + os.environ["GRISTMILL_API_KEY"]}' * source.keyed
    imports = "import os\n\n" * source.keyed + "import pandas"
    code = f"""\
{imports}

rows = {_text(source.parquet)}
frame = pandas.read_parquet(rows, dtype_backend="pyarrow"{key})
print(frame)"""
    needs = "pip install pandas pyarrow. It reads the rows as this page filters and orders them."
    return Snippet("pandas", "pandas", needs + _KEY * source.keyed, code)


def _polars(source: Source) -> Snippet:
    code = _ENGINE.format(imports="import polars\nimport sqlalchemy as sa")
    code += f"frame = polars.read_database({_text(_select(source))}, engine)\nprint(frame)"
    return Snippet("polars", "Polars", f"pip install polars sqlalchemy 'psycopg[binary]'. {_DSN}", code)


def _sqlalchemy(source: Source) -> Snippet:
    schema, _, table = source.relation.replace('"', "").partition(".")
    code = (
        _ENGINE.format(imports="import sqlalchemy as sa")
        + f"""\
result = sa.Table({_text(table)}, sa.MetaData(), schema={_text(schema)}, autoload_with=engine)
with engine.connect() as connection:
    for row in connection.execute(sa.select(result).limit(10)):
        print(row)"""
    )
    return Snippet("sqlalchemy", "SQLAlchemy", f"pip install sqlalchemy 'psycopg[binary]'. {_DSN}", code)


def _models(source: Source) -> list[Snippet]:
    """The commands that print classes; they are of names only."""
    if source.name is None:
        return []
    url, key = shlex.quote(source.gateway), f"pip install gristmill.{_KEY * source.keyed}"
    return [
        Snippet(
            f"model-{flag}",
            title,
            f"{key} It prints a class with the columns of the newest version.",
            f"gristmill models --{flag} {source.name} --url {url}",
        )
        for flag, title in (("django", "Django model"), ("sqlalchemy", "SQLAlchemy class"))
    ]


def _text(text: str) -> str:
    """A literal of Python."""
    return json.dumps(text, ensure_ascii=False)
