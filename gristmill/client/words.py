"""Signatures that spell out the keyword arguments of a TypedDict, for help() and completion at run time."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
Method = TypeVar("Method", bound=Callable[..., Any])


def spelled(words: Any) -> Callable[[Method], Method]:
    """Put the keys of *words* in the place of `**words` in the signature of a method."""

    def decorate(method: Method) -> Method:
        signature = inspect.signature(method)
        named = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        keys = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in words.__annotations__.items()
        ]
        method.__signature__ = signature.replace(parameters=[*named, *keys])  # type: ignore[attr-defined]
        return method

    return decorate


def described_by(model: type) -> Callable[[Class], Class]:
    """Give the methods of a class the docstrings of the same names in *model*."""

    def decorate(cls: Class) -> Class:
        for name, method in vars(cls).items():
            if callable(method) and method.__doc__ is None and hasattr(model, name):
                method.__doc__ = getattr(model, name).__doc__
        return cls

    return decorate
