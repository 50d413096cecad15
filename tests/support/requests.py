"""What a parent asks of a child about files that lie in any folder."""

from pathlib import Path
from typing import Any

REACH: dict[str, Any] = {"own_folders": [], "hidden": False}
"""What a request to open files says about all of them."""


def plan_request(spec: dict[str, Any], *paths: Path, **others: Any) -> dict[str, Any]:
    """A plan of the files, each of which is beneath a root of its own."""
    locations = [[f"file://{path}", str(path.parent), path.name] for path in paths]
    sizes = {
        "max_names": 1000,
        "max_bytes": [1 << 40, "limits.max_bytes"],
        "chunk_bytes": 1000,
        "max_chunks": 1000,
    }
    return {"task": "plan", "spec": spec, "locations": locations, "prove": False, **REACH, **sizes, **others}


def chunk_request(spec: dict[str, Any], plan: dict[str, Any], no: int, **others: Any) -> dict[str, Any]:
    """Chunk *no* of what a child answered to a plan request."""
    extents = plan["chunks"][no]["extents"]
    known = {
        "no": no,
        "spec": spec,
        "schema": plan["schema"],
        "extents": extents,
        "files": [plan["files"][e[0]] for e in extents],
    }
    return {"task": "chunk", "batch_bytes": 1 << 20, "piece_bytes": 1 << 16, **REACH, **known, **others}
