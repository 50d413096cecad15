"""Partial and combine in turns over a stream of frames, in bounded memory."""

import pyarrow as pa

from shared.errors import LimitExceeded
from shared.spec.query import Query
from worker_service.arrow import as_array, without_dictionary
from worker_service.kernels.aggregates.declaration import MAX_CHUNKS, row_ordinal
from worker_service.kernels.engine.combine import PendingStates
from worker_service.kernels.engine.partial import partial
from worker_service.kernels.engine.states import rows_in, size_of

FRAME_BYTES = 8 * 1024**2
"""Of frames that wait to be grouped together."""


class Fold:
    """The states of one chunk so far; its frames come in the order of the file.

    `futile` is true where the last frame had about as many groups as rows: then holding its states costs
    memory and saves nothing. While groups have few rows in each frame, frames wait to be grouped together,
    since the states of small frames would repeat most keys.
    """

    def __init__(self, query: Query, chunk: int = 0) -> None:
        if chunk >= MAX_CHUNKS:
            raise LimitExceeded(f"a dataset has at most {MAX_CHUNKS:,} chunks; raise options.chunk_bytes")
        self._next_ordinal = row_ordinal(chunk, 0)
        self.rows_dropped_null_key = 0
        self._query = query
        self._frames: list[pa.Table] = []
        self._sparse = self.futile = False
        self._pending = PendingStates(query)

    def add(self, frame: pa.Table) -> None:
        self._frames.append(frame)
        if not self._sparse or sum(waiting.nbytes for waiting in self._frames) > FRAME_BYTES:
            self._group()

    def _group(self) -> None:
        if not self._frames:
            return
        frame = _one_frame(self._frames)
        self._frames = []
        states = partial(frame, self._query, self._next_ordinal)
        self._next_ordinal += frame.num_rows
        self.rows_dropped_null_key += frame.num_rows - rows_in(states)
        size = size_of(states)
        self._sparse = size > frame.num_rows // 8
        self.futile = size > frame.num_rows * 0.8
        self._pending.add(states)

    @property
    def groups(self) -> int:
        """At least as many as there are, and as the values that are kept of them."""
        return self._pending.size

    def finish(self) -> pa.Table:
        """The combined states so far; more frames may follow."""
        self._group()
        return self._pending.combined()

    def flush(self) -> pa.Table:
        """The combined states so far, which are then forgotten; more frames may follow."""
        states = self.finish()
        self._pending.clear()
        return states


def _one_frame(frames: list[pa.Table]) -> pa.Table:
    """All rows of *frames*, with one dictionary a column.

    A column that is a dictionary in some frames only loses it.
    """
    if len(frames) == 1:
        return frames[0]
    mixed = [
        name
        for name in frames[0].column_names
        if len({frame.schema.field(name).type for frame in frames}) > 1
    ]
    for name in mixed:
        at = frames[0].schema.get_field_index(name)
        frames = [
            frame.set_column(at, name, pa.chunked_array([without_dictionary(as_array(frame[name]))]))
            for frame in frames
        ]
    return pa.concat_tables(frames).unify_dictionaries().combine_chunks()
