"""`python -m api_service.services.spec_check_process`: checks the specs that come on standard input.

It ends with its standard input, which is closed when the gateway ends. `spec_check` describes the frames.
"""

import gc
import resource
import sys
import traceback

import msgspec

from api_service.services.child_process import frame, read_frame
from api_service.services.spec_check import Checked, Failed, Rules, check
from shared.errors import GristmillError, InternalError, InvalidSpec

MEMORY_BYTES = 1024**3


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while (rules := read_frame(source)) is not None and (body := read_frame(source)) is not None:
        answer = answer_to(body, msgspec.json.decode(rules, type=Rules))
        answers.write(frame(msgspec.json.encode(answer)))
        answers.flush()


def answer_to(body: bytes, rules: Rules) -> Checked | Failed:
    try:
        return check(body, rules)
    except GristmillError as error:
        return Failed(error.problem())
    except MemoryError:
        large = InvalidSpec(
            f"The spec takes more than {MEMORY_BYTES:,} bytes of memory to check; make it smaller"
        )
        return Failed(large.problem())
    except Exception:  # noqa: BLE001  # a bug is reported, and the process goes on
        bug = InternalError("Something went wrong in Gristmill; the gateway's log has the stack trace")
        return Failed(bug.problem(), traceback.format_exc())


if __name__ == "__main__":
    main()
