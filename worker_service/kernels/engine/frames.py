"""The states of a chunk without the native library: `partial` and `combine` in turns, in bounded memory."""

import pyarrow as pa

from shared.spec.query import Query
from worker_service.arrow import as_array, without_dictionary
from worker_service.kernels.engine.combine import PendingStates
from worker_service.kernels.engine.partial import partial
from worker_service.kernels.engine.states import rows_in, size_of

FRAME_BYTES = 8 * 1024**2
"""Of frames that wait to be grouped together."""
FUTILE = 0.8
"""New groups, or new values of groups, for each row of a frame, past which states save nothing."""


class FrameStates:
    """The states of the frames so far.

    While groups have few rows in each frame, frames wait to be grouped together, since the states of small
    frames would repeat most keys.
    """

    resumable = False
    mostly_new = False
    """Frames that wait are grouped together anyhow."""

    def __init__(self, query: Query) -> None:
        self.dropped = 0
        self.futile = False
        self._query = query
        self._waiting: list[pa.Table] = []
        self._first_ordinal = 0
        self._sparse = False
        self._pending = PendingStates(query)

    @property
    def groups(self) -> int:
        return self._pending.size

    @property
    def nbytes(self) -> int:
        return self._pending.taken

    def add(self, frame: pa.Table, first_ordinal: int) -> None:
        if not self._waiting:
            self._first_ordinal = first_ordinal
        self._waiting.append(frame)
        if not self._sparse or sum(waiting.nbytes for waiting in self._waiting) > FRAME_BYTES:
            self._group()

    def _group(self) -> None:
        if not self._waiting:
            return
        frame = _one_frame(self._waiting)
        self._waiting = []
        states = partial(frame, self._query, self._first_ordinal)
        self.dropped += frame.num_rows - rows_in(states)
        size = size_of(states)
        self._sparse = size > frame.num_rows // 8
        self.futile = size > frame.num_rows * FUTILE
        self._pending.add(states)

    def combined(self) -> pa.Table:
        self._group()
        return self._pending.combined()

    def taken(self) -> pa.Table:
        """The combined states, also of frames that wait. All are forgotten."""
        try:
            return self.combined()
        finally:
            self._pending.clear()


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
