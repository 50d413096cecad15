"""How the mistakes of a spec are reported: all at once, each by a JSON Pointer.

Pointers (RFC 6901, as URI fragments without percent-encoding) lead into the spec as the user wrote it.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.errors import Detail, GristmillError
from shared.spec.names import quote

MAX_FAULTS = 100
"""More of one kind are not looked for: an answer has to stay small."""
MAX_TOKEN = 100
"""A key that the user made up is cut here, so that an error never repeats a whole input."""

Location = tuple[str | int, ...]


def pointer(*keys: str | int) -> str:
    return "#" + "".join(f"/{_token(str(key))}" for key in keys)


def _token(key: str) -> str:
    cut = key if len(key) <= MAX_TOKEN else key[:MAX_TOKEN] + "…"
    return cut.replace("~", "~0").replace("/", "~1")


def summary(details: list[Detail]) -> str:
    """One sentence for all of them: the first, and how many more there are."""
    first = f"{details[0].get('pointer', '#')}: {details[0]['detail']}"
    return first if len(details) == 1 else f"{first} (and {len(details) - 1} more)"


def refuse(error: type[GristmillError], details: Iterable[Detail]) -> None:
    """Raise *error* with all *details*, if there are any."""
    if found := list(islice(details, MAX_FAULTS)):
        raise error(summary(found), errors=found)


def written(loc: Location) -> Location:
    """A pydantic location as the JSON has it: without the tags of the unions and the `[key]` of mappings.

    Where a default fails pydantic gives the attribute's name, `as_`, instead of its alias.
    """
    match loc:
        case ("group_by", int(i), _, *rest):
            return ("group_by", i, *("as" if key == "as_" else key for key in rest))
        case ("aggregates", int(i), "as_"):
            return ("aggregates", i, "as")
        case ("aggregates", int(i), "q", _, *rest):
            return ("aggregates", i, "q", *rest)
        case ("source", "types", key, tag, *rest):
            return ("source", "types", key, *(rest if tag == "object" else ()))
        case (*at, "labels", key, "[key]"):
            return (*at, "labels", key)
        case _:
            return loc


def fault(detail: str) -> PydanticCustomError:
    """An error whose message is *detail* as it stands.

    Pydantic would put "Value error, " before the message of a ValueError.
    """
    return PydanticCustomError("spec", "{detail}", {"detail": detail})


def raise_faults(faults: Iterable[tuple[Location, str]]) -> None:
    """Raise all *faults*, if there are any; their locations are below the field under validation."""
    errors = [
        InitErrorDetails(type=fault(detail), loc=loc, input=None)
        for loc, detail in islice(faults, MAX_FAULTS)
    ]
    if errors:
        raise ValidationError.from_exception_data("spec", errors)


def repeated(
    named: Iterable[tuple[Location, str]], taken: Iterable[str] = ()
) -> Iterator[tuple[Location, str]]:
    """A fault for every name that an earlier one, or one of *taken*, has already."""
    seen = set(taken)
    for loc, name in named:
        if name in seen:
            yield loc, f"the name {quote(name)} is taken already"
        seen.add(name)
