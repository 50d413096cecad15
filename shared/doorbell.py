"""The doorbell: arq messages that say "there may be work".

To lose, double or forge one costs nothing but time. The keys in Redis:
- `gristmill:queue`: arq's sorted set of message ids. A worker takes ids off it, so that it holds nothing in
  progress, and a message wakes one worker.
- `arq:job:u<unit>.<ring>`: arq's message.
- `gristmill:nudge`: a request to look for due units, which one worker takes.
- `gristmill:turn`: a dispatcher is at work. It expires with the dispatcher's turn.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.fault_points import reached

QUEUE = "gristmill:queue"
REQUEST = "gristmill:nudge"
TURN = "gristmill:turn"
MAX_MESSAGE_BYTES = 4096
MESSAGE_LIFE = timedelta(minutes=10)
"""By then every unit that is still pending has been rung for again."""
MAX_QUEUED = 1024
"""Far more messages than there are slots, so dispatchers did not send them.

Then the queue is thrown away, and each free slot looks for work itself until the queue is short again.
"""
SOCKET_SECONDS = 3.0
BLOCK_SECONDS = 2.0
"""How long a worker waits inside Redis.

It is less than SOCKET_SECONDS, after which a silent Redis counts as away.
"""
REDIS_AWAY = (RedisError, OSError, TimeoutError)
WORK, REFUSED = "work", "refused"
"""The names of the arq functions. No message in Redis may name the second: `deserialize` does."""

log = structlog.get_logger()


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    """A message as arq's `serialize_job` writes it, for the one function that there is."""

    f: Literal["work"]
    a: tuple[Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]]
    k: Annotated[dict[str, None], msgspec.Meta(max_length=0)]
    t: None
    et: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def serialize(message: Mapping[str, object]) -> bytes:
    """JSON. arq serializes failures too, with the exception, and throws them away: hence the `repr`."""
    return msgspec.json.encode(message, enc_hook=repr)


def deserialize(data: bytes) -> dict[str, object]:
    """The message; a call of `refused` if it is not exactly one of ours.

    arq's own errors would each write a stack trace. Only JSON is read: arq's default is pickle, which would
    run any program that is written into Redis.
    """
    try:
        return msgspec.structs.asdict(msgspec.json.decode(data, type=_Message))
    except (msgspec.DecodeError, RecursionError) as error:
        return {"f": REFUSED, "a": [str(error)], "k": {}, "t": None, "et": 0}


def ring_of(message: str) -> int:
    """The number of the ring in the id of a message."""
    return int(message.rpartition(".")[2])


class _UvloopConnection(AbstractConnection):
    """uvloop raises RuntimeError for a write on a connection that the server has just closed."""

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise RedisConnectionError(str(error)) from error


def redis_pool(url: str) -> ArqRedis:
    """A pool of connections with socket timeouts, which retries an OSError.

    arq's own pool has neither: a short outage ends it, and a frozen Redis holds it for ever. The certificate
    of a `rediss://` URL must have the host's name, which redis-py alone would not ask.
    """
    unchecked = not url.startswith("rediss:") or "ssl_cert_reqs=none" in url
    names: dict[str, Any] = {} if unchecked else {"ssl_check_hostname": True}
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
        **names,
    )
    kind = connections.connection_class  # by the URL: plain, TLS or a Unix socket
    connections.connection_class = type(kind.__name__, (_UvloopConnection, kind), {})
    return ArqRedis(
        pool_or_conn=connections,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE,
    )


class Doorbell:
    """Messages, requests and turns.

    The methods for dispatchers and gateways never raise because Redis is away: Postgres holds the work, and a
    dispatcher rings again. The methods that take messages and requests off raise REDIS_AWAY.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self.refused = 0

    async def ring(self, units: list[tuple[int, int]]) -> None:
        """Send one message for each (unit, number of the ring).

        The one of the ring before is removed, so that messages cannot pile up.
        """
        middle = (len(units) + 1) // 2
        try:
            for half in (units[:middle], units[middle:]):
                await self._send(half)
                reached("ring.between")
        except REDIS_AWAY as error:
            log.warning("doorbell.away", error=str(error))

    async def _send(self, units: list[tuple[int, int]]) -> None:
        now = time.time_ns() // 1_000_000
        async with self.redis.pipeline(transaction=False) as pipe:
            for unit, ring in units:
                if ring > 1:
                    pipe.zrem(QUEUE, f"u{unit}.{ring - 1}")
                    pipe.delete(f"{job_key_prefix}u{unit}.{ring - 1}")
                message = serialize_job(WORK, (unit,), {}, None, now, serializer=serialize)
                pipe.set(f"{job_key_prefix}u{unit}.{ring}", message, px=MESSAGE_LIFE)
                pipe.zadd(QUEUE, {f"u{unit}.{ring}": now})
            await pipe.execute()

    async def request_dispatch(self) -> None:
        """Ask one dispatcher to look now. Any number of requests before one looks are one."""
        try:
            await self.redis.zadd(REQUEST, {"look": 0})
        except REDIS_AWAY as error:
            log.warning("doorbell.away", error=str(error))

    async def dispatch_requested(self) -> bool:
        """Wait a while for a request that no other worker has taken."""
        return await self._block(REQUEST) is not None

    async def turn_is_free(self) -> bool:
        """Whether no dispatcher is at work now, or Redis does not tell."""
        try:
            async with asyncio.timeout(SOCKET_SECONDS):
                return not await self.redis.exists(TURN)
        except REDIS_AWAY:
            return True

    async def begin_turn(self, period: timedelta) -> int | None:
        """Begin a dispatcher's turn of *period*, which answers every request so far.

        Returns how many messages wait. None if Redis is of no use: away, full, read-only or flooded. A frozen
        Redis is not tried again as other commands are: the slots look for work themselves.
        """
        try:
            async with asyncio.timeout(SOCKET_SECONDS), self.redis.pipeline(transaction=False) as pipe:
                pipe.set(TURN, b"1", px=period)
                pipe.unlink(REQUEST)
                pipe.zcard(QUEUE)
                count = int((await pipe.execute())[-1])
                if count > MAX_QUEUED:
                    await self.redis.unlink(QUEUE)
                    log.warning("doorbell.flooded", messages=count, most=MAX_QUEUED)
                    return None
                return count
        except REDIS_AWAY as error:
            log.warning("doorbell.away", error=str(error))
            await self._drop_other_type(error, QUEUE)
            return None

    async def give_up_turn(self) -> None:
        with suppress(*REDIS_AWAY):
            await self.redis.delete(TURN)

    async def take(self, most: int) -> list[str]:
        """Take up to *most* messages that are there."""
        try:
            found = await self.redis.zpopmin(QUEUE, most)
        except ResponseError as error:
            await self._drop_other_type(error, QUEUE)
            raise
        return await self._fetchable([message for message, _ in found])

    async def take_one(self) -> list[str]:
        """Wait a while for a message."""
        found = await self._block(QUEUE)
        return [] if found is None else await self._fetchable([found])

    async def _block(self, key: str) -> bytes | None:
        try:
            found = await self.redis.bzpopmin(key, BLOCK_SECONDS)
        except ResponseError as error:
            await self._drop_other_type(error, key)
            raise
        return None if found is None else found[1]

    async def _fetchable(self, ids: list[bytes]) -> list[str]:
        """Those whose message may be fetched. A forged one could be of any size and type, and is refused."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.strlen(job_key_prefix.encode() + message_id)
            sizes = await pipe.execute(raise_on_error=False) if ids else []
        found = []
        for message_id, size in zip(ids, sizes, strict=True):
            ours = re.fullmatch(rb"u\d{1,19}\.\d{1,9}", message_id) is not None
            if not ours or not isinstance(size, int) or size > MAX_MESSAGE_BYTES:
                await self.refuse(f"message {message_id[:40]!r} of size {size}", message_id)
            elif size > 0:  # else it was taken back
                found.append(message_id.decode())
        return found

    async def refuse(self, reason: str, message_id: bytes = b"") -> None:
        """Count a message that no dispatcher has sent, and delete it."""
        self.refused += 1
        log.warning("doorbell.refused", error=reason, total=self.refused)
        if message_id:
            prefixes = job_key_prefix, retry_key_prefix, in_progress_key_prefix
            await self.redis.unlink(*(prefix.encode() + message_id for prefix in prefixes))

    async def _drop_other_type(self, error: BaseException, key: str) -> None:
        """Delete a key that is no sorted set: it would be in the way for ever.

        If Redis goes away meanwhile, the next error leads here again.
        """
        with suppress(*REDIS_AWAY):
            if isinstance(error, ResponseError) and await self.redis.type(key) not in {b"zset", b"none"}:
                await self.redis.unlink(key)
                await self.refuse(f"{key} was no sorted set")

    async def connected(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except REDIS_AWAY:
            return False

    async def close(self) -> None:
        await self.redis.aclose(close_connection_pool=True)
