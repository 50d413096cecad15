"""`python -m api_service.encoding`: encodes the rows that come on standard input.

It ends with its standard input, which is closed when the gateway ends. `api_service.services.encoder`
describes the frames.
"""

import os
import resource
import sys
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from api_service.services.child_process import read_frame
from api_service.services.encoder import MEMORY_BYTES, Encoding
from shared.process import isolate


def main() -> None:
    isolate()  # before any thread of pyarrow begins
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # the others reserve more than the limit
    from api_service.encoding.files import encode  # noqa: PLC0415  # it loads pyarrow

    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while (asked := read_frame(source)) is not None:
        encode(msgspec.json.decode(asked, type=Encoding), _blocks(source), answers)


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """The blocks up to the empty frame; raises EOFError if the input ends before it."""
    while block := read_frame(source):
        yield block
    if block is None:
        raise EOFError("the rows ended before their end was told")


if __name__ == "__main__":
    try:
        main()
    except (EOFError, BrokenPipeError):
        os._exit(1)  # the gateway gave up; whatever is still buffered is of no use
