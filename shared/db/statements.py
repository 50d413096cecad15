"""Loads `queries/<table>.sql`: statements under `-- name --` lines, read as attributes."""

import re
from importlib.resources import files

_STATEMENT = re.compile(r"^-- (\w+) --\n(.*?)(?=^-- \w+ --\n|\Z)", re.MULTILINE | re.DOTALL)


class Statements:
    """The statements of one file, by name; an unknown name raises AttributeError."""

    def __init__(self, table: str) -> None:
        text = files("shared.db").joinpath("queries", f"{table}.sql").read_text()
        self.by_name: dict[str, str] = {name: body.strip() for name, body in _STATEMENT.findall(text)}

    def __getattr__(self, name: str) -> str:
        try:
            return self.by_name[name]
        except KeyError:
            raise AttributeError(name) from None
