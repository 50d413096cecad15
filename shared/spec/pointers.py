"""JSON Pointers (RFC 6901, as URI fragments without percent-encoding) into the spec as the user wrote it."""

from shared.errors import Detail

MAX_TOKEN = 100
"""A key that the user made up is cut here, so that an error never echoes a whole input."""

Location = tuple[str | int, ...]


def pointer(*parts: str | int) -> str:
    return "#" + "".join(f"/{_token(str(part))}" for part in parts)


def _token(part: str) -> str:
    cut = part if len(part) <= MAX_TOKEN else part[:MAX_TOKEN] + "…"
    return cut.replace("~", "~0").replace("/", "~1")


def summary(details: list[Detail]) -> str:
    """One sentence for all of them: the first, and how many more there are."""
    first = f"{details[0].get('pointer', '#')}: {details[0]['detail']}"
    return first if len(details) == 1 else f"{first} (and {len(details) - 1} more)"


def written(loc: Location) -> Location:
    """A pydantic location as the JSON has it: without the tags of the two unions and the `[key]` of mappings.

    Where a default fails pydantic gives the attribute's name, `as_`, instead of its alias.
    """
    match loc:
        case ("group_by", int(i), _, *rest):
            return ("group_by", i, *("as" if part == "as_" else part for part in rest))
        case ("aggregates", int(i), "as_"):
            return ("aggregates", i, "as")
        case ("aggregates", int(i), "q", _, *rest):
            return ("aggregates", i, "q", *rest)
        case ("source", "types", key, *_):
            return ("source", "types", key)
        case ("labels", key, *_):
            return ("labels", key)
        case _:
            return loc
