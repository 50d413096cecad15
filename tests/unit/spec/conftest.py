import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import InvalidSpec, UsageError
from shared.spec.models import JobSpec
from shared.spec.parse import parse_spec

Body = dict[str, Any]


@pytest.fixture
def body() -> Callable[..., Body]:
    """A small, valid spec with the given top-level keys put in or replaced."""

    def make(**changes: Any) -> Body:
        return {
            "source": {"uris": ["upload:upl_1"]},
            "group_by": ["carrier"],
            "aggregates": [{"fn": "count"}, {"fn": "mean", "column": "delay"}],
            **changes,
        }

    return make


@pytest.fixture
def accept() -> Callable[[Body], JobSpec]:
    return lambda spec: parse_spec(json.dumps(spec).encode())


@pytest.fixture
def reject() -> Callable[..., dict[str, str]]:
    """Pointer -> detail of everything that is wrong with a spec."""

    def refuse(spec: Any, error: type[UsageError] = InvalidSpec) -> dict[str, str]:
        with pytest.raises(UsageError) as caught:
            parse_spec(json.dumps(spec).encode())
        assert type(caught.value) is error, caught.value.errors
        pointers = [e["pointer"] for e in caught.value.errors]
        assert len(pointers) == len(set(pointers)), pointers
        return {e["pointer"]: e["detail"] for e in caught.value.errors}

    return refuse
