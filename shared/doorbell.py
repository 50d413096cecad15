"""The doorbell: arq messages that say "there may be work". Losing, doubling or forging one costs nothing but time.

Redis keys: `gristmill:queue` (arq's sorted set of message ids; a worker takes ids off it, so that it holds
nothing in progress and wakes one worker a message), `arq:job:u<unit>.<ring>` (arq's message),
`gristmill:nudge` ("look for due units"; taken by one worker) and `gristmill:turn` (a dispatcher is at it).
"""

import asyncio
import re
import time
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.fault_points import reached

QUEUE = "gristmill:queue"
NUDGE = "gristmill:nudge"
TURN = "gristmill:turn"
MAX_MESSAGE_BYTES = 4096
MESSAGE_LIFE = timedelta(minutes=10)
"""Every unit that is still pending has been rung for again by then."""
MAX_QUEUED = 1024
"""More messages than slots were never rung: then the queue is thrown away, and each slot looks for itself until it is sound again."""
SOCKET_SECONDS = 3.0
BLOCK_SECONDS = 2.0
"""How long a worker waits inside Redis; less than SOCKET_SECONDS, after which a silent Redis counts as away."""
AWAY = (RedisError, OSError, TimeoutError)
REFUSED = "refused"

log = structlog.get_logger()


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    """What arq's `serialize_job` writes, for the one function that there is."""

    f: Literal["work"]
    a: tuple[Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]]
    k: Annotated[dict[str, Any], msgspec.Meta(max_length=0)]
    t: None
    et: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def serialize(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        message, enc_hook=repr
    )  # arq serializes failures too, with the exception, and throws them away


def deserialize(data: bytes) -> dict[str, Any]:
    """The message.

    Whatever is not exactly one of ours becomes a call of `refused`, for arq's own errors would each write a
    stack trace.

    JSON only: arq's default is pickle, which would run whatever someone writes into Redis.
    """
    try:
        return msgspec.structs.asdict(msgspec.json.decode(data, type=_Message))
    except (msgspec.DecodeError, RecursionError) as error:
        return {"f": REFUSED, "a": [str(error)], "k": {}, "t": None, "et": 0}


def redis_pool(url: str) -> ArqRedis:
    """Make what arq's own pool lacks: it has no socket timeouts and does not retry OSError, so that a blip kills and a freeze hangs it."""
    connections = BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=5,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        socket_keepalive=True,
        health_check_interval=5,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 3),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
    )
    return ArqRedis(
        pool_or_conn=connections,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE,
    )


class Doorbell:
    """`ring`, `nudge`, `quiet` and `turn` never raise because Redis is away: Postgres holds the work, and the dispatcher rings again."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self.refused = 0

    async def ring(self, units: list[tuple[int, int]]) -> None:
        """One message for each (unit, ring).

        The one of the ring before is removed, so that messages cannot pile up.
        """
        half = (len(units) + 1) // 2
        try:
            for part in (units[:half], units[half:]):
                await self._send(part)
                reached("ring.between")
        except AWAY as error:
            log.warning("doorbell.away", error=str(error))

    async def _send(self, units: list[tuple[int, int]]) -> None:
        now = time.time_ns() // 1_000_000
        async with self.redis.pipeline(transaction=False) as pipe:
            for unit, ring in units:
                if ring > 1:
                    pipe.zrem(QUEUE, f"u{unit}.{ring - 1}")
                    pipe.delete(f"{job_key_prefix}u{unit}.{ring - 1}")
                message = serialize_job("work", (unit,), {}, None, now, serializer=serialize)
                pipe.set(f"{job_key_prefix}u{unit}.{ring}", message, px=MESSAGE_LIFE)
                pipe.zadd(QUEUE, {f"u{unit}.{ring}": now})
            await pipe.execute()

    async def nudge(self) -> None:
        """Ask one dispatcher to look now; as often as it is asked before one looks, it is one look."""
        try:
            await self.redis.zadd(NUDGE, {"look": 0})
        except AWAY as error:
            log.warning("doorbell.away", error=str(error))

    async def nudged(self) -> bool:
        """Wait a while for a nudge that nobody else has taken."""
        return await self._block(NUDGE) is not None

    async def quiet(self) -> bool:
        """Whether nobody dispatches just now."""
        try:
            async with asyncio.timeout(SOCKET_SECONDS):
                return not await self.redis.exists(TURN)
        except AWAY:
            return True

    async def turn(self, period: timedelta) -> int | None:
        """Begin a dispatcher's turn of *period*: how many messages wait.

        Or None if Redis is of no use: away, full, read-only, flooded.

        Every nudge so far is answered by this turn. A frozen Redis is not tried again as other commands are:
        the slots look for themselves.
        """
        try:
            async with asyncio.timeout(SOCKET_SECONDS), self.redis.pipeline(transaction=False) as pipe:
                pipe.set(TURN, b"1", px=period)
                pipe.unlink(NUDGE)
                pipe.zcard(QUEUE)
                count = int((await pipe.execute())[-1])
                if count > MAX_QUEUED:
                    await self.redis.unlink(QUEUE)
                    log.warning("doorbell.flooded", messages=count, most=MAX_QUEUED)
                    return None
                return count
        except AWAY as error:
            log.warning("doorbell.away", error=str(error))
            await self._heal(error, QUEUE)
            return None

    async def give_up_turn(self) -> None:
        with suppress(*AWAY):
            await self.redis.delete(TURN)

    async def take(self, most: int) -> list[str]:
        """Take up to *most* messages that are there."""
        try:
            found = await self.redis.zpopmin(QUEUE, most)
        except ResponseError as error:
            await self._heal(error, QUEUE)
            raise
        return await self._sound([message for message, _ in found])

    async def take_one(self) -> list[str]:
        """Wait a while for a message."""
        found = await self._block(QUEUE)
        return [] if found is None else await self._sound([found])

    async def _block(self, key: str) -> bytes | None:
        try:
            found = await self.redis.bzpopmin(key, BLOCK_SECONDS)
        except ResponseError as error:
            await self._heal(error, key)
            raise
        return None if found is None else found[1]

    async def _sound(self, ids: list[bytes]) -> list[str]:
        """Those whose message may be fetched: a forged one could be of any size and type."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.strlen(job_key_prefix.encode() + one)
            sizes = await pipe.execute(raise_on_error=False) if ids else []
        sound = []
        for one, size in zip(ids, sizes, strict=True):
            if (
                not re.fullmatch(rb"u\d{1,19}\.\d{1,9}", one)
                or not isinstance(size, int)
                or size > MAX_MESSAGE_BYTES
            ):
                await self.refuse(f"message {one[:40]!r} of size {size}", one)
            elif size > 0:  # else it was taken back
                sound.append(one.decode())
        return sound

    async def refuse(self, reason: str, message_id: bytes = b"") -> None:
        """Count what no dispatcher has sent, and forget it."""
        self.refused += 1
        log.warning("doorbell.refused", reason=reason, total=self.refused)
        if message_id:
            prefixes = job_key_prefix, retry_key_prefix, in_progress_key_prefix
            await self.redis.unlink(*(prefix.encode() + message_id for prefix in prefixes))

    async def _heal(self, error: BaseException, key: str) -> None:
        """A key that somebody gave another type would be in the way for ever.

        If Redis goes away meanwhile, the next error asks for it again.
        """
        with suppress(*AWAY):
            if isinstance(error, ResponseError) and await self.redis.type(key) not in {b"zset", b"none"}:
                await self.redis.unlink(key)
                await self.refuse(f"{key} was no sorted set")

    async def connected(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except AWAY:
            return False

    async def close(self) -> None:
        await self.redis.aclose(close_connection_pool=True)
