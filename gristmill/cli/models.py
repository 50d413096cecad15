"""`gristmill models`: a published result as a class of Django or SQLAlchemy."""

from typing import Annotated

from typer import Option

from gristmill.cli.mistakes import Mistake, Refused
from gristmill.cli.options import Service
from gristmill.cli.output import print_line
from gristmill.cli.service import connected
from gristmill.cli.things import Name

Django = Annotated[bool, Option("--django", help="Print an unmanaged Django model.")]
Sqlalchemy = Annotated[bool, Option("--sqlalchemy", help="Print a declarative class of SQLAlchemy.")]


def models(name: Name, *, django: Django = False, sqlalchemy: Sqlalchemy = False, where: Service) -> None:
    """Print the Python class that reads a result, for Django or SQLAlchemy."""
    from gristmill.models.django import model
    from gristmill.models.sqlalchemy import declarative

    if django == sqlalchemy:
        raise Mistake("Say --django or --sqlalchemy, and not both.")
    with connected(where) as reached:
        found = reached.client.result(name).document
    try:
        print_line((model(found) if django else declarative(found)).removesuffix("\n"))
    except ValueError as error:
        raise Refused(str(error)) from error
