"""The files of one task, opened when they are read, and compared with the plan before and after."""

import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from shared.core.plan import DatasetFile
from shared.errors import SourceChanged
from shared.storage.sources import Location
from worker_service.inputs.find import fingerprint
from worker_service.inputs.local import LocalFiles
from worker_service.readers import SourceFile

MAX_OPEN = 64
"""At a time, however many files a dataset has."""


class PlannedFiles:
    """Raises SourceChanged for a file that is not the *planned* one.

    It does so when a file is opened and when it is closed. At the end it does so instead of any other error,
    because a file that changed explains them.
    """

    def __init__(
        self, local: LocalFiles, planned: Sequence[DatasetFile], max_expansion: int = sys.maxsize
    ) -> None:
        self._local, self._planned, self._max_expansion = local, planned, max_expansion
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
            SourceFile(
                opened=partial(self._descriptor, no),
                uri=file.uri,
                size=file.bytes,
                start=file.member.start if file.member else 0,
                member=file.member,
                max_expansion=self._max_expansion,
            )
            for no, file in enumerate(self._planned)
        ]

    def _descriptor(self, no: int) -> int:
        if no in self._open:
            self._open.move_to_end(no)
            return self._open[no]
        if len(self._open) == MAX_OPEN:
            self._close(next(iter(self._open)))
        file = self._planned[no]
        self._open[no] = self._local.file(Location(file.uri, file.root, file.below))
        self._check(no, self._open[no])
        return self._open[no]

    def _close(self, no: int) -> None:
        descriptor = self._open.pop(no)
        try:
            self._check(no, descriptor)
        finally:
            os.close(descriptor)

    def _check(self, no: int, descriptor: int) -> None:
        planned = self._planned[no]
        found = replace(planned, **fingerprint(os.fstat(descriptor))).identity
        changed = [
            f"{name} {found[name]:,} instead of {before:,}"
            for name, before in planned.identity.items()
            if found[name] != before
        ]
        if changed:
            told = ", ".join(changed)
            raise SourceChanged(
                f"{planned.uri} changed since the job was planned ({told}); submit the job again"
            )
