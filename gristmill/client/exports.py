"""All rows of a result in one stream: into a file, into memory, or through the digest."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from gristmill.client.asking import RETRIES, opened, pause, rest, unreachable
from gristmill.client.csv_cells import Records
from gristmill.client.digest import Digest
from gristmill.client.documents import Column
from gristmill.client.steps import Emit, NextBytes, Query, Request, Steps, overheard

FORMATS = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
}
"""The format of a file by the end of its name."""
TEXT_FORMATS = {end: kind for end, kind in FORMATS.items() if kind in {"csv", "ndjson"}}
"""Those of bad rows."""
Sink = Callable[[bytes], Any]


def _request(path: str, query: Query, kind: str) -> Request:
    return Request(method="GET", path=path, query=[*query, ("format", kind)])


def _blocks(request: Request) -> Steps[None]:
    """Emit the bytes as they come."""
    yield from opened(request)
    while (block := (yield NextBytes())) is not None:
        yield Emit(block)


def streamed(path: str, query: Query, kind: str) -> Steps[None]:
    """Emit the bytes as they come. Raises Unreachable if they break off."""
    request = _request(path, query, kind)
    try:
        yield from _blocks(request)
    except httpx2.TransportError as error:
        raise unreachable(request, error) from None


def _exported(path: str, query: Query, kind: str, begin: Callable[[], Sink]) -> Steps[None]:
    """Give all bytes to the sink of *begin*; after a broken stream begin anew, for it has no middle."""
    request = _request(path, query, kind)
    failures = 0
    while True:
        try:
            return (yield from overheard(_blocks(request), begin()))
        except httpx2.TransportError as error:
            failures += 1
            lost = unreachable(request, error)
            if failures > RETRIES:
                raise lost from None
            yield rest(lost, failures - 1, pause(failures))


def in_memory(path: str, query: Query, kind: str) -> Steps[bytearray]:
    data = bytearray()

    def begin() -> Sink:
        data.clear()
        return data.extend

    yield from _exported(path, query, kind, begin)
    return data


def into_file(
    path: str, query: Query, target: str | Path, kind: str | None, formats: Mapping[str, str] = FORMATS
) -> Steps[Path]:
    """The file, once all rows are in it. Until then its name ends with `.part`; a failure removes that."""
    file = Path(target)
    kind = kind or formats.get(file.suffix.lower())
    if kind is None:
        raise ValueError(
            f"{file.name}: a name that ends with {', '.join(formats)} tells the format; or give format="
        )
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as output:

            def begin() -> Sink:
                output.seek(0)
                output.truncate()
                return output.write

            yield from _exported(path, query, kind, begin)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def digested(path: str, query: Query, columns: Sequence[Column]) -> Steps[str]:
    """The digest of the rows as they are sent."""
    names = [("select", name) for name in ("_id", *(column["name"] for column in columns))]
    digest = Digest(columns)

    def begin() -> Sink:
        nonlocal digest
        digest, records = Digest(columns), Records()
        head = True

        def take(data: bytes) -> None:
            nonlocal head
            for record in records.fed(data):
                if not head:
                    digest.add(record)
                head = False

        return take

    yield from _exported(path, [*query, *names], "csv", begin)
    return digest.text()
