"""The files of one task, opened when they are read, and compared with the plan before and after."""

import os
from collections import OrderedDict
from functools import partial
from types import TracebackType
from typing import Any, Self

from shared.errors import SourceChanged
from shared.storage.sources import Location
from worker_service.child.beneath import Beneath
from worker_service.child.find import fingerprint
from worker_service.readers import SourceFile

MAX_OPEN = 64
"""At a time, however many files a dataset has."""


class Files:
    """*planned* are entries of a plan. Raises SourceChanged for another file than that.

    It does so when a file is opened and when it is closed; at the end in the place of any other error, since
    a file that changed explains whatever was found in it.
    """

    def __init__(self, beneath: Beneath, planned: list[dict[str, Any]]) -> None:
        self._beneath, self._planned = beneath, planned
        self._open: OrderedDict[int, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for no, descriptor in self._open.items():
                self._check(no, descriptor)
        finally:
            for descriptor in self._open.values():
                os.close(descriptor)

    @property
    def sources(self) -> list[SourceFile]:
        """The files as the readers take them."""
        return [
            SourceFile(opened=partial(self._descriptor, no), uri=file["uri"], size=file["size"])
            for no, file in enumerate(self._planned)
        ]

    def _descriptor(self, no: int) -> int:
        if no in self._open:
            self._open.move_to_end(no)
            return self._open[no]
        if len(self._open) == MAX_OPEN:
            self._close(next(iter(self._open)))
        file = self._planned[no]
        self._open[no] = self._beneath.file(Location(file["uri"], file["root"], file["below"]))
        self._check(no, self._open[no])
        return self._open[no]

    def _close(self, no: int) -> None:
        descriptor = self._open.pop(no)
        try:
            self._check(no, descriptor)
        finally:
            os.close(descriptor)

    def _check(self, no: int, descriptor: int) -> None:
        """A plan of before may lack a part of the fingerprint."""
        file, now = self._planned[no], fingerprint(os.fstat(descriptor))
        changed = [
            f"{name} {now[name]:,} instead of {file[name]:,}"
            for name in now
            if file.get(name, now[name]) != now[name]
        ]
        if changed:
            what = ", ".join(changed)
            raise SourceChanged(
                f"{file['uri']} changed since the job was planned ({what}); submit the job again"
            )
