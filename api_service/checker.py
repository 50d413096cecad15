"""`python -m api_service.checker`: checks the specs that come on standard input, until that ends.

Request: two frames, the rules as JSON and the body as it came. Answer: one frame of JSON, `{"error":
problem}`, of a bug with its `traceback`, or the checked spec. A frame is an 8-byte little-endian length and
so many bytes.
"""

import gc
import resource
import sys
import traceback
from typing import Any, BinaryIO

import msgspec

from api_service.services.checking import FRAME_BYTES, Rules, check
from shared.errors import GristmillError, InternalError, InvalidSpec

MEMORY_BYTES = 1024**3


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while (rules := frame(source)) is not None and (body := frame(source)) is not None:
        answer = msgspec.json.encode(answer_to(body, msgspec.json.decode(rules, type=Rules)))
        answers.write(len(answer).to_bytes(FRAME_BYTES, "little") + answer)
        answers.flush()


def frame(source: BinaryIO) -> bytes | None:
    """None at the end: the gateway is gone."""
    size = source.read(FRAME_BYTES)
    return source.read(int.from_bytes(size, "little")) if len(size) == FRAME_BYTES else None


def answer_to(body: bytes, rules: Rules) -> dict[str, Any]:
    try:
        checked = check(body, rules)
    except GristmillError as error:
        return {"error": error.problem()}
    except MemoryError:
        large = InvalidSpec(
            f"The spec takes more than {MEMORY_BYTES:,} bytes of memory to check; make it smaller"
        )
        return {"error": large.problem()}
    except Exception:  # noqa: BLE001  # the edge of the process: a bug is told, and does not end it
        bug = InternalError("Something went wrong in Gristmill; the gateway's log has the stack trace")
        return {"error": bug.problem(), "traceback": traceback.format_exc()}
    refusal = checked.refusal.problem() if checked.refusal else None
    return {"error": None, "canonical": checked.canonical, "digest": checked.digest, "refusal": refusal}


if __name__ == "__main__":
    main()
