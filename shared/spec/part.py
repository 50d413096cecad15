"""What every object of the spec has in common."""

from collections.abc import Iterable, Iterator
from itertools import islice

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails

from shared.spec.names import quote
from shared.spec.pointers import Location
from shared.spec.values import fault

MAX_FAULTS = 100
"""More of one kind are not looked for: nobody reads them, and an answer has to stay small."""


class Part(BaseModel):
    """A frozen object without unknown keys, whose errors never show the input."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def raise_faults(faults: Iterable[tuple[Location, str]]) -> None:
    """Raise the *faults*, each at its place below the field under validation; none, and nothing happens."""
    errors = [
        InitErrorDetails(type=fault(detail), loc=loc, input=None)
        for loc, detail in islice(faults, MAX_FAULTS)
    ]
    if errors:
        raise ValidationError.from_exception_data("spec", errors)


def repeated(
    named: Iterable[tuple[Location, str]], taken: Iterable[str] = ()
) -> Iterator[tuple[Location, str]]:
    """Every place whose name an earlier one, or one of *taken*, has already."""
    seen = set(taken)
    for loc, name in named:
        if name in seen:
            yield loc, f"the name {quote(name)} is taken already"
        seen.add(name)
