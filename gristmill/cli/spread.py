"""Groups of options as dataclasses: their fields become the options of each command that has them."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """*command*, whose parameters that are dataclasses are given field by field.

    Each field of such a dataclass has a default and is annotated for typer.
    """
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters = [
        each
        for name, one in signature.parameters.items()
        for each in (_options(groups[name]) if name in groups else [one.replace(annotation=hints[name])])
    ]

    @wraps(command)
    def spread_out(*arguments: Any, **given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(*arguments, **given, **made)

    vars(spread_out)["__signature__"] = signature.replace(parameters=parameters)
    spread_out.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return spread_out


def _options(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name]
        )
        for field in fields(kind)
    ]


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default
