"""Verdicts about the content of the database: the readers of tenants, and the workers.

A verdict is None where its facts are unknown; `postgres` or `migrations` tells why.
"""

from api_service.doctor.facts import Facts
from api_service.doctor.finding import Finding, error, listed, ok, warning
from shared.settings import differing
from shared.spec.version import STATE_VERSION

MOST_CURES = 20
"""Statements of one advice."""


def readers(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str) or facts.postgres.cluster is None:
        return None
    server, missing = facts.postgres.server, facts.postgres.cluster.missing_readers
    if not missing:
        return ok("Each tenant has its role of readers")
    if server.superuser or server.may_create_role:
        return ok(f"{listed(missing)} will be made with the next result or `gristmill server migrate`")
    cures = "; ".join(f"CREATE ROLE {name}" for name in missing)
    return warning(
        f"There is no {listed(missing)}, and {server.me} may not make it",
        f"{cures}; then run `gristmill server migrate`",
    )


def reader_rights(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str) or facts.postgres.cluster is None:
        return None
    if loose := facts.postgres.cluster.loose_readers:
        found = listed([found for found, _ in loose])
        return warning(
            f"Readers may do more than read the results of their tenant: {found}",
            "; ".join(cure for _, cure in loose[:MOST_CURES]),
        )
    return ok("Readers may read the results of their tenant, and nothing else")


def workers(facts: Facts) -> Finding | None:
    if isinstance(facts.postgres, str) or facts.postgres.cluster is None:
        return None
    found, ours = facts.postgres.cluster.workers, facts.machine.version
    if not found:
        return warning("No worker lives, so jobs wait", "Run `gristmill server worker`")
    if not any(worker.able for worker in found):
        return error(
            f"{len(found)} workers live, and none of them can start a child process",
            "Look for `worker.cannot_work` in the log of the workers: it has the reason",
        )
    if unlike := sorted({worker.version for worker in found} - {ours}):
        return warning(
            f"Workers of version {listed(unlike)} live, and this is {ours}",
            "End the update: start workers of one version, and drain the others with "
            "`gristmill workers drain ID`",
        )
    if all(worker.state_version not in {None, STATE_VERSION} for worker in found):
        return error(
            f"No worker takes jobs of state version {STATE_VERSION}", "Start workers of this version"
        )
    return ok(f"{len(found)} workers of version {ours} with {sum(worker.slots for worker in found)} slots")


def agreement(facts: Facts) -> Finding | None:
    """Of this machine's settings with those that the live workers have told."""
    if isinstance(facts.postgres, str) or facts.postgres.cluster is None:
        return None
    workers = facts.postgres.cluster.workers
    silent = sum(worker.settings is None for worker in workers)
    told = {worker.id: differing(facts.settings, worker.settings) for worker in workers}
    unlike = {worker: names for worker, names in told.items() if names}
    unknown = f"{silent} of {len(workers)} workers are of an earlier version, which tells no settings"
    if unlike:
        names = sorted({name for names in unlike.values() for name in names})
        return warning(
            f"{listed(sorted(unlike))} of {len(workers)} workers have another value than this machine: "
            f"{', '.join(names)}" + (f". {unknown}" if silent else ""),
            "Give all gateways and workers one value of each, then restart those that had another",
        )
    if silent:
        return warning(unknown, "End the update: start workers of this version instead of those")
    return ok(f"{len(workers)} workers have the settings of this machine")
