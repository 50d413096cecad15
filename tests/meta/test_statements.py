"""Every named statement is valid against the migrated schema, is called, and is given its parameters."""

import ast
from importlib.resources import files

import asyncpg
import pytest

from shared.db import statements
from shared.db.statements import Statement, Statements

FILES = {name: value for name, value in vars(statements).items() if isinstance(value, Statements)}
QUERIES = sorted(path.name.removesuffix(".sql") for path in files("shared.db").joinpath("queries").iterdir())
METHODS = {"execute", "fetch", "fetchrow", "fetchval", "cursor"}
OF_THE_METHOD = {"cursor": {"prefetch"}}


def calls():
    """(file, statement, keywords, whether more may come with `**`) of each use in the stores."""
    for module in files("shared.db").iterdir():
        if not module.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=file), attr=name), attr=method),
                    keywords=keywords,
                ) if file in FILES and method in METHODS:
                    given = {keyword.arg for keyword in keywords if keyword.arg is not None}
                    more = any(keyword.arg is None for keyword in keywords)
                    yield file, name, given - OF_THE_METHOD.get(method, set()), more


def mentions():
    """(file, statement) of each mention in the stores, called there or passed on."""
    for module in files("shared.db").iterdir():
        if module.name.endswith(".py"):
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Attribute(value=ast.Name(id=file), attr=name) if file in FILES:
                        yield file, name


async def test_every_statement_prepares(database_url):
    connection = await asyncpg.connect(database_url)
    broken, prepared = {}, 0
    for file, of in FILES.items():
        for name, statement in of.by_name.items():
            try:
                found = await connection.prepare(statement.sql)
                assert len(found.get_parameters()) == len(statement.parameters)
                prepared += 1
            except asyncpg.PostgresError as error:
                broken[file, name] = str(error)
    await connection.close()

    assert broken == {}
    assert prepared > 80
    assert sorted(FILES) == sorted(query.upper() for query in QUERIES)


def test_every_call_gives_a_statement_its_parameters_by_name():
    wrong = [
        (file, name, sorted(given ^ set(statement.parameters)))
        for file, name, given, more in calls()
        if (statement := getattr(FILES[file], name, None)) is None
        or not (given <= set(statement.parameters) if more else given == set(statement.parameters))
    ]

    assert wrong == []


def test_every_statement_is_used():
    known = {(file, name) for file, of in FILES.items() for name in of.by_name if file != "VERIFY"}

    assert known - set(mentions()) == set()


def test_an_unknown_statement_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = Statements("jobs").no_such_statement


def test_parameters_are_numbered_by_their_first_use_and_casts_and_operators_stay():
    statement = Statement("SELECT @b::text, @a, @b WHERE labels @> @labels")

    assert statement.sql == "SELECT $1::text, $2, $1 WHERE labels @> $3"
    assert statement.arguments({"a": 1, "b": 2, "labels": {}}) == [2, 1, {}]


@pytest.mark.parametrize("given", [{}, {"a": 1, "b": 2}, {"A": 1}])
def test_a_parameter_too_few_or_too_many_is_an_error_before_anything_is_sent(given):
    with pytest.raises(TypeError, match=r"takes \['a'\]"):
        Statement("SELECT @a").arguments(given)


def test_a_part_stands_in_the_statements_that_contain_it_and_is_none_itself():
    units = Statements("units")

    assert units.complete.source in units.complete_with_partial.source
    assert not any(
        name.startswith("_") or "{" in statement.source for name, statement in units.by_name.items()
    )
