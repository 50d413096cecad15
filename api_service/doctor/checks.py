"""The checks, in the order in which they are told. Each is a name and a pure verdict about the facts."""

from collections.abc import Callable

import msgspec

from api_service.doctor import of_cluster, of_machine, of_servers
from api_service.doctor.facts import Facts
from api_service.doctor.finding import Finding

CHECKS: dict[str, Callable[[Facts], Finding | None]] = {
    "settings": of_machine.variables,
    "access": of_machine.access,
    "proxy": of_machine.proxy,
    "periods": of_machine.periods,
    "chunks": of_machine.chunks,
    "sources": of_machine.sources,
    "storage": of_machine.storage,
    "storage_room": of_machine.room,
    "storage_shared": of_machine.shared_folder,
    "memory": of_machine.memory,
    "open_files": of_machine.open_files,
    "packages": of_machine.packages,
    "native": of_machine.native,
    "postgres": of_servers.postgres,
    "durability": of_servers.durability,
    "rights": of_servers.rights,
    "least_rights": of_servers.least_rights,
    "migrations": of_servers.migrations,
    "readers": of_cluster.readers,
    "reader_rights": of_cluster.reader_rights,
    "connections": of_servers.budget,
    "postgres_clock": of_servers.clock_of_postgres,
    "redis": of_servers.redis,
    "redis_eviction": of_servers.eviction,
    "redis_memory": of_servers.redis_memory,
    "redis_persistence": of_servers.persistence,
    "redis_clock": of_servers.clock_of_redis,
    "workers": of_cluster.workers,
    "agreement": of_cluster.agreement,
}


def verdicts(facts: Facts) -> list[Finding]:
    """A finding for each check whose facts are known."""
    found = ((name, verdict(facts)) for name, verdict in CHECKS.items())
    return [msgspec.structs.replace(finding, check=name) for name, finding in found if finding]
