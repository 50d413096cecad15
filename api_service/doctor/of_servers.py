"""Verdicts about Postgres, Redis and the clocks.

A verdict is None where its facts are unknown; `postgres` or `redis` tells why.
"""

import math

from api_service.doctor.facts import Facts
from api_service.doctor.finding import Finding, error, listed, ok, size, warning
from shared.core import connections
from shared.core.facts import Clock, Server
from shared.core.facts import Redis as RedisFacts

OLDEST_POSTGRES = 150_000
SAFE_CREATEROLE = 160_000
OLDEST_REDIS = (6, 2)
SKEW, LARGE_SKEW = 1.0, 60.0
"""Seconds."""
NEARLY = 0.8


def postgres(facts: Facts) -> Finding:
    found = facts.postgres
    if isinstance(found, str):
        return error(found, "Start Postgres, or correct GRISTMILL_DATABASE_URL")
    server = found.server
    if server.version_number < OLDEST_POSTGRES:
        return error(f"Postgres {server.version} is too old", "Take Postgres 15 or newer")
    if server.replica:
        return error(
            "This Postgres is a standby, which takes no writes",
            "Name the primary in GRISTMILL_DATABASE_URL, or promote this one with `SELECT pg_promote()`",
        )
    if server.encoding != "UTF8":
        return error(
            f"The encoding of database {server.database} is {server.encoding}",
            "Make the database anew with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`",
        )
    return ok(f"Postgres {server.version}, database {server.database}, role {server.me}")


def durability(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str):
        return None
    server, off = facts.postgres.server, facts.postgres.unsafe
    if off:
        level = warning if set(off) == {"synchronous_commit"} else error
        return level(
            f"Postgres may lose commits that it has confirmed: {', '.join(off)} off",
            "; ".join(_switched_on(name, source, server) for name, source in off.items()),
        )
    return ok("Postgres keeps each commit that it has confirmed")


def _switched_on(name: str, source: str, server: Server) -> str:
    """The statement for a setting that was made at *source*, as pg_settings names it."""
    cures = {
        "command line": f"Remove {name} from the command line of Postgres, and restart it",
        "user": f"ALTER ROLE {server.me} RESET {name}",
        "database": f"ALTER DATABASE {server.database} RESET {name}",
        "database user": f"ALTER ROLE {server.me} IN DATABASE {server.database} RESET {name}",
    }
    return cures.get(source, f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()")


def migrations(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str) or facts.postgres.foreign:
        return None
    found, wanted = facts.postgres.revision, facts.postgres.head
    if found is None or found < wanted:
        return error(
            f"The schema is at {found or 'no revision'}, and this version needs {wanted}",
            "Run `gristmill server migrate`",
        )
    if found > wanted:
        return error(
            f"The schema is at {found}, and this version knows only {wanted}: it is older than the database",
            "Install the version that has migrated the database, or restore a dump from before",
        )
    return ok(f"The schema is at {found}")


def rights(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str):
        return None
    server, postgres = facts.postgres.server, facts.postgres
    if postgres.foreign:
        return error(
            f"Another role than {server.me} owns {listed(postgres.foreign)}",
            "; ".join(f"ALTER {name} OWNER TO {server.me}" for name in postgres.foreign),
        )
    if not server.may_create_schema:
        return error(
            f"{server.me} may not make schemas, which migrations and first results of tenants need",
            f"GRANT CREATE ON DATABASE {server.database} TO {server.me}",
        )
    if not server.may_create_temporary:
        return error(
            f"{server.me} may not make temporary tables, which `gristmill server migrate` needs",
            f"GRANT TEMPORARY ON DATABASE {server.database} TO {server.me}",
        )
    if postgres.closed_views:
        cures = "; ".join(f"ALTER SCHEMA {name} OWNER TO {server.me}" for name in postgres.closed_views)
        return error(f"{server.me} may not make views in {listed(postgres.closed_views)}", cures)
    return ok(f"{server.me} owns its schemas, and may make others")


def least_rights(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str):
        return None
    server = facts.postgres.server
    if server.superuser:
        return warning(
            f"{server.me} is a superuser, and the service needs none",
            "Make a role as docs/deploy.md describes, give it the schemas, and name it in "
            "GRISTMILL_DATABASE_URL",
        )
    if server.may_run_programs:
        return warning(
            f"{server.me} may run programs on the server of Postgres",
            f"REVOKE pg_execute_server_program FROM {server.me}",
        )
    if server.may_create_role and server.version_number < SAFE_CREATEROLE:
        return warning(
            f"Before Postgres 16, CREATEROLE lets {server.me} become nearly a superuser",
            f"ALTER ROLE {server.me} NOCREATEROLE",
        )
    return ok(f"{server.me} is no superuser")


def budget(facts: Facts) -> Finding | None:
    """Connections that the services may open, and those that Postgres grants them."""
    if isinstance(facts.postgres, str) or facts.postgres.cluster is None:
        return None
    server, sessions = facts.postgres.server, facts.postgres.sessions
    workers = facts.postgres.cluster.workers
    gateways = max(1, sessions.get("gristmill-health", 0))
    need = (
        gateways * connections.GATEWAY
        + sum(connections.of_worker(worker.slots) for worker in workers)
        + connections.OPERATOR
    )
    others = sum(count for name, count in sessions.items() if not name.startswith("gristmill-"))
    wanted = math.ceil(need / NEARLY)
    there, cure = min(
        (
            server.max_connections - server.reserved_connections - others,
            f"ALTER SYSTEM SET max_connections = {wanted + server.reserved_connections + others}",
        ),
        (server.role_connections, f"ALTER ROLE {server.me} CONNECTION LIMIT {wanted}"),
        (server.database_connections, f"ALTER DATABASE {server.database} CONNECTION LIMIT {wanted}"),
        key=lambda limit: math.inf if limit[0] == -1 else limit[0],
    )
    said = f"{gateways} gateways and {len(workers)} workers open up to {need} connections, of {there}"
    if need <= NEARLY * there:
        return ok(said)
    level = error if need > there else warning
    return level(said, f"{cure}; max_connections needs a restart of Postgres. Or run fewer slots")


def redis(facts: Facts) -> Finding:
    found = facts.redis
    if isinstance(found, str):
        return error(
            f"Redis does not answer: {found}",
            "Start Redis, or correct GRISTMILL_REDIS_URL. Jobs go on without it, some seconds later",
        )
    name, version = _version(found)
    if name == "Redis" and tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        return error(f"Redis {version} is too old", "Take Redis 6.2 or newer, or Valkey")
    if found.refusal:
        return error(
            f"{name} takes no writes: {found.refusal}",
            "Name the primary in GRISTMILL_REDIS_URL, or give Redis memory and disk",
        )
    return ok(f"{name} {version} takes writes")


def _version(found: RedisFacts) -> tuple[str, str]:
    valkey = found.info.get("valkey_version")
    return ("Valkey", str(valkey)) if valkey else ("Redis", str(found.info.get("redis_version", "0.0")))


def eviction(facts: Facts) -> Finding | None:
    if isinstance(facts.redis, str):
        return None
    policy = facts.redis.info.get("maxmemory_policy")
    if policy != "noeviction":
        return warning(
            f"Redis may evict messages when it is full: maxmemory-policy is {policy}. Work then starts later",
            "CONFIG SET maxmemory-policy noeviction, and write it into the configuration of Redis",
        )
    return ok("Redis evicts nothing")


def redis_memory(facts: Facts) -> Finding | None:
    if isinstance(facts.redis, str):
        return None
    most, used = _number(facts.redis, "maxmemory"), _number(facts.redis, "used_memory")
    if most and used > NEARLY * most:
        return warning(
            f"Redis uses {size(used)} of {size(most)}",
            "Raise maxmemory. Gristmill itself needs less than 1 MiB: another program may share this Redis",
        )
    return ok(f"Redis uses {size(used)}")


def persistence(facts: Facts) -> Finding | None:
    """Messages may be lost at any time, so that nothing is kept is no fault. A failed write is one."""
    if isinstance(facts.redis, str):
        return None
    names = ("aof_last_write_status", "rdb_last_bgsave_status")
    failed = [name for name in names if facts.redis.info.get(name, "ok") != "ok"]
    if failed:
        return warning(
            f"Redis cannot write to its disk: {', '.join(failed)}",
            "Free its disk, or switch persistence off: CONFIG SET save '' and CONFIG SET appendonly no",
        )
    kept = "keeps messages on disk" if _number(facts.redis, "aof_enabled") else "keeps messages in memory"
    return ok(f"Redis {kept}")


def _number(found: RedisFacts, name: str) -> float:
    value = found.info.get(name, 0)
    return float(value) if isinstance(value, int | float | str) else 0.0


def clock_of_postgres(facts: Facts) -> Finding | None:
    return None if isinstance(facts.postgres, str) else _clock("Postgres", facts.postgres.clock)


def clock_of_redis(facts: Facts) -> Finding | None:
    return None if isinstance(facts.redis, str) else _clock("Redis", facts.redis.clock)


def _clock(name: str, clock: Clock) -> Finding:
    """Leases go by Postgres' clock alone; logs, TLS and the age of files by each machine's own."""
    skew = abs(clock.ahead) - clock.doubt
    side = "ahead of" if clock.ahead > 0 else "behind"
    said = f"The clock of {name} is {abs(clock.ahead):.1f} s {side} this one"
    if skew <= SKEW:
        return ok(said)
    cure = "Let both machines follow a time server: `timedatectl set-ntp true`, or chrony"
    return error(said, cure) if skew > LARGE_SKEW else warning(said, cure)
