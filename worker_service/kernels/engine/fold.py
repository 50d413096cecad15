"""A stream of frames to the states of a chunk, in bounded memory."""

from collections.abc import Iterator

import pyarrow as pa

from shared.errors import LimitExceeded
from shared.spec.query import Query
from worker_service.kernels.aggregates.declaration import MAX_CHUNKS, row_ordinal
from worker_service.kernels.engine.frames import FrameStates
from worker_service.kernels.engine.resident import ResidentStates
from worker_service.native import library

PIECE_ROWS = 1 << 17
"""Of a small piece of a frame. The last one may have nearly twice as many."""


class Fold:
    """The states of one chunk or of several so far; the frames of each come in the order of the file."""

    def __init__(self, query: Query, chunk: int = 0) -> None:
        self.begin(chunk)
        self._added = 0
        native = library()
        self._states = ResidentStates(query, native) if native is not None else FrameStates(query)

    def begin(self, chunk: int) -> None:
        """Go on with the frames of another chunk."""
        if chunk >= MAX_CHUNKS:
            raise LimitExceeded(f"a dataset has at most {MAX_CHUNKS:,} chunks; raise options.chunk_bytes")
        self._next_ordinal = row_ordinal(chunk, 0)

    def add(self, frame: pa.Table) -> None:
        self._states.add(frame, self._next_ordinal)
        self._next_ordinal += frame.num_rows
        self._added += frame.num_rows

    def pieces(self, frame: pa.Table) -> Iterator[pa.Table]:
        """The rows of *frame*, to be added one piece after the other.

        While most rows begin a group, pieces are small: `futile` is true before many rows have taken memory.
        """
        while self._states.mostly_new and frame.num_rows >= 2 * PIECE_ROWS:
            yield frame.slice(0, PIECE_ROWS)
            frame = frame.slice(PIECE_ROWS)
        last = [frame]
        del frame  # or it would stay in memory while the states are written
        yield last.pop()

    @property
    def resumable(self) -> bool:
        """Whether frames of another chunk may follow.

        Not if frames wait to be grouped, or if states keep values of their rows.
        """
        return self._states.resumable

    @property
    def rows(self) -> int:
        """Rows that were added, without those dropped; where it is resumable."""
        return self._added - self._states.dropped

    @property
    def rows_dropped_null_key(self) -> int:
        """Of the rows in states that were asked for."""
        return self._states.dropped

    @property
    def groups(self) -> int:
        """At least as many as there are, and as the values that are kept of them."""
        return self._states.groups

    @property
    def nbytes(self) -> int:
        """About the memory that the states take."""
        return self._states.nbytes

    @property
    def futile(self) -> bool:
        """Whether the last piece had about as many new groups as rows; natively only after many groups.

        Then holding its states costs memory and saves nothing.
        """
        return self._states.futile

    def finish(self) -> pa.Table:
        """The combined states so far; more frames may follow."""
        return self._states.combined()

    def flush(self) -> pa.Table:
        """The combined states so far, which are then forgotten; more frames may follow."""
        return self._states.taken()
