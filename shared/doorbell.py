"""The doorbell: arq messages that say "there may be work". Losing, doubling or forging one costs nothing but time.

Redis keys: arq's own under its queue name (`gristmill:queue`, `arq:job:u<unit>.<ring>`, `arq:in-progress:…`), and the
channel `gristmill:nudge`, on which a publish wakes dispatchers and idle workers at once.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

QUEUE = "gristmill:queue"
CHANNEL = "gristmill:nudge"
MAX_MESSAGE_BYTES = 4096
AWAY = (RedisError, OSError, TimeoutError)

log = structlog.get_logger()


def serialize(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message)


def deserialize(data: bytes) -> dict[str, Any]:
    """JSON of a small size only: arq's default is pickle, which would run whatever someone writes into Redis."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError("message too large")
    message: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    return message


def redis_pool(url: str) -> ArqRedis:
    """Make what arq's own pool lacks: it has no socket timeouts and does not retry OSError, so that a blip kills and a freeze hangs it."""
    connections = BlockingConnectionPool.from_url(
        url,
        max_connections=16,
        timeout=5,
        socket_timeout=3,
        socket_connect_timeout=3,
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
        expires_extra_ms=7 * 86_400_000,
    )


class Doorbell:
    """Nothing here raises because Redis is away: Postgres holds the work, and the dispatcher rings again."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis

    async def ring(self, units: list[tuple[int, int]]) -> None:
        """One message for each (unit, ring); the id of the ring before is removed, so that messages cannot pile up."""
        try:
            for unit, ring in units:
                await self._forget(unit, ring - 1)
                await self.redis.enqueue_job("work", unit, _job_id=f"u{unit}.{ring}")
            if units:
                await self.redis.publish(CHANNEL, b"work")
        except AWAY as error:
            log.warning("doorbell.away", error=str(error))

    async def _forget(self, unit: int, ring: int) -> None:
        if ring > 0:
            await self.redis.zrem(QUEUE, f"u{unit}.{ring}")
            await self.redis.delete(f"arq:job:u{unit}.{ring}")

    async def nudge(self) -> None:
        """Ask every dispatcher to look now."""
        try:
            await self.redis.publish(CHANNEL, b"nudge")
        except AWAY as error:
            log.warning("doorbell.away", error=str(error))

    async def connected(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except AWAY:
            return False

    async def heard(self) -> AsyncIterator[bytes]:
        """Every message on the channel; ends with an error of `AWAY` when Redis goes."""
        async with self.redis.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=2.0)
                if message is not None:
                    yield message["data"]

    async def close(self) -> None:
        await self.redis.aclose(close_connection_pool=True)
