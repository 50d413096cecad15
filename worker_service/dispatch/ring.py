"""The dispatcher: marks the units that are due, and rings for them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from shared.db.units import UnitStore
from shared.doorbell import Doorbell
from shared.errors import TransientError
from shared.fault_points import reached
from shared.loops import Report
from worker_service.slots import Slots


@dataclass(frozen=True, slots=True)
class Rung(Report):
    """Units that were rung for; slots that look for work themselves, since Redis takes no messages."""

    units: int = 0
    slots: int = 0
    routine: ClassVar[bool] = True


class Dispatcher:
    """One in each worker; none leads.

    A turn is a key in Redis that lives for *period*. While it is there, the dispatchers of other workers
    leave the ringing to it. That saves work, and nothing depends on it.
    """

    def __init__(self, doorbell: Doorbell, units: UnitStore, slots: Slots, period: timedelta) -> None:
        self._doorbell, self._units, self._slots, self._period = doorbell, units, slots, period

    async def run_in_turn(self) -> Rung:
        """Ring, unless a dispatcher has just done so: one pass in a period is enough for all workers."""
        return await self.run_once() if await self._doorbell.turn_is_free() else Rung()

    async def run_once(self) -> Rung:
        """Ring for units that are due. If Redis takes no messages, each free slot looks for work itself."""
        waiting = await self._doorbell.begin_turn(self._period)
        if waiting is None:
            free = self._slots.free
            for _ in range(free):
                self._slots.start_one()
            return Rung(slots=free)
        try:
            due = await self._units.due(waiting)
        except TransientError:
            await self._doorbell.give_up_turn()  # another worker may reach Postgres
            raise
        if due:
            reached("dispatch.marked")
            await self._doorbell.ring(due)
        return Rung(units=len(due))

    async def listen(self) -> None:
        """Have this worker look for each request that no other worker has taken.

        Without this the turns still go on.
        """
        while True:
            if await self._doorbell.dispatch_requested():
                self._slots.look()
