"""docs/sdk-reference.md, made of the docstrings: `python -m tests.support.reference` writes it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gristmill
from gristmill.client.spec import PLACES, Words

PAGE = Path(__file__).parents[2] / "docs" / "sdk-reference.md"
HEAD = """# The names of the Python SDK

Made of the docstrings. [sdk.md](sdk.md) is the guide. `AsyncClient`, `AsyncJob`, `AsyncPlan` and
`AsyncResult` have the names of `Client`, `Job`, `Plan` and `Result`. Their methods are awaited. Those that
give an iterator are read by `async for`.
"""
CLASSES = ("Client", "Job", "Result", "Plan")
FUNCTIONS = ("bucket", "hour", "day", "week", "month", "quarter", "year")
OTHERS = ("JobSpec", "Moment")
WORDS = tuple(Words.__annotations__)
ASYNC = tuple(f"Async{name}" for name in CLASSES)


def told(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def signature(name: str, thing: Any) -> str:
    """The parameters with their defaults, without their types; those of a job's spec are `**words`."""
    parameters = inspect.signature(thing).parameters.values()
    shown = [each.replace(annotation=each.empty) for each in parameters if each.name != "self"]
    if {*WORDS} <= {each.name for each in shown}:
        shown = [each for each in shown if each.name not in WORDS]
        shown.append(inspect.Parameter("words", inspect.Parameter.VAR_KEYWORD))
    return f"{name}{inspect.Signature(shown)}"


def members(cls: type) -> Iterator[str]:
    for name in (name for base in reversed(cls.__mro__[:-1]) for name in vars(base)):
        member = inspect.getattr_static(cls, name)
        if not name.startswith("_"):
            shown = name if isinstance(member, property) else signature(name, member)
            yield f"- `{shown}`: {told(member)}"


def page() -> str:
    """The whole text."""
    parts = [HEAD]
    for name in CLASSES:
        cls = getattr(gristmill, name)
        parts += (
            [f"## {name}\n", f"`{signature(name, cls)}`\n", f"{told(cls)}\n"]
            if name == "Client"
            else [f"## {name}\n", f"{told(cls)}\n"]
        )
        parts += ["\n".join(dict.fromkeys(members(cls))) + "\n"]
    parts += ["## Words\n", f"{told(Words)}\n", "\n".join(_words()) + "\n"]
    parts += ["## Keys of time\n", "\n".join(_functions()) + "\n"]
    parts += [
        "## Types\n",
        "\n".join(f"- `{name}`: {told(getattr(gristmill, name))}" for name in OTHERS) + "\n",
    ]
    parts += ["## Exceptions\n", "\n".join(_errors()) + "\n"]
    return "\n".join(parts)


def _words() -> Iterator[str]:
    for name in WORDS:
        place = PLACES.get(name)
        yield f"- `{name}`: `{'.'.join(place)}`" if place else f"- `{name}`: the whole spec"


def _functions() -> Iterator[str]:
    for name in FUNCTIONS:
        function = getattr(gristmill, name)
        yield f"- `{signature(name, function)}`: {told(function)}"


def _errors() -> Iterator[str]:
    for name in errors():
        cls = getattr(gristmill, name)
        yield f"- `{name}({', '.join(base.__name__ for base in cls.__bases__)})`: {told(cls)}"


def errors() -> list[str]:
    names = [name for name in gristmill.__all__ if re.match(r"[A-Z]", name)]
    found = [name for name in names if isinstance(getattr(gristmill, name), type)]
    return [name for name in found if issubclass(getattr(gristmill, name), Exception)]


if __name__ == "__main__":
    PAGE.write_text(page())
