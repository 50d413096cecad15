"""A spec that is not whole yet, for a dry run: without `aggregates` it asks about the source."""

import json
from itertools import count

FILLED = ("aggregates",)
"""The key that is filled in; a dry run's document leaves it out again."""


def with_filler(body: bytes) -> bytes | None:
    """*body* with an aggregate that counts rows, and without keys if it names none.

    None for a body that has `aggregates`, or that is no JSON object: these are checked as they are.
    """
    try:
        spec = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(spec, dict) or "aggregates" in spec:
        return None
    keys = spec.get("group_by", [])
    text = json.dumps(keys)
    name = next(name for name in (f"rows_{no}" for no in count()) if json.dumps(name) not in text)
    filler = {"aggregates": [{"fn": "count", "as": name}], "group_by": keys}
    members = ", ".join(
        f"{json.dumps(key)}: {json.dumps(value)}" for key, value in filler.items() if key not in spec
    )
    opened = body.rstrip()
    comma = ", " if spec else ""
    return opened[:-1] + f"{comma}{members}}}".encode()
