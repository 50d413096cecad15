"""The faults that a cluster can meet.

Each fault is a generator: it does its harm, yields how many seconds to leave it so, and heals.

`scale` is the length of a protocol second: all waits are in units of the periods that they are meant to pass.
"""

import pickle
import signal
from collections.abc import Callable
from contextlib import suppress

import psycopg

from shared.doorbell import QUEUE
from tests.soak.cluster import Node, send
from tests.soak.stage import Fault, NoTarget, Stage, until_dead, until_postgres_answers

LEASE = 10.0
POINTS_OF_WORKERS = (
    "claim.after_commit", "commit.fenced", "commit.written", "commit.after",
    "plan.mid_insert", "plan.after_commit", "chunk.computed", "fold.held", "fold.joined",
    "fan_in.inside", "fan_in.after",
    "merge.mid_copy", "merge.before_commit", "merge.after_commit",
    "publish.indexed", "publish.swapped", "publish.after_commit",
    "dispatch.marked", "ring.between", "sweep.found",
)  # fmt: skip
POINTS_OF_GATEWAYS = ("submit.before_commit", "submit.after_commit")


def _dies_at_a_point(stage: Stage, node: Node, points: tuple[str, ...], latest: int) -> Fault:
    """Kill the service; the next one kills itself in the middle of a step."""
    node.kill()
    point = stage.chance.choice(points)
    stage.target += f" at {point}"
    node.start(GRISTMILL_FAULT_POINTS=f"{point}:{stage.chance.randint(1, latest)}:kill")
    yield from until_dead(node, 60 * stage.scale)
    node.kill()


# fault matrix: 17, 18
def kill_worker(stage: Stage) -> Fault:
    with stage.busy_worker() as (worker, leases):
        stage.watch.expect("worker killed", leases)
        worker.kill()
        yield stage.lasting(0, 5)


# fault matrix: 3, 4, 5, 17, 19, 20, 39, 61
def kill_worker_at_a_point(stage: Stage) -> Fault:
    with stage.worker() as worker:
        yield from _dies_at_a_point(stage, worker, POINTS_OF_WORKERS, 4)


# fault matrix: 23
def kill_child(stage: Stage) -> Fault:
    with stage.busy_worker() as (worker, leases):
        send(worker.children, signal.SIGKILL)
        worker.signal(signal.SIGCONT)
        stage.watch.expect("child killed", leases)
        yield 0


# fault matrix: 23
def kill_template(stage: Stage) -> Fault:
    """Kill it with its children, so that new ones are needed at once."""
    with stage.busy_worker() as (worker, leases):
        send([*worker.template, *worker.children], signal.SIGKILL)
        worker.signal(signal.SIGCONT)
        stage.watch.expect("child killed", leases)
        yield 0


# fault matrix: 21
def freeze_worker(stage: Stage) -> Fault:
    """For longer than its lease: then another worker owns its work, and a late commit must have no effect."""
    with stage.busy_worker():
        yield stage.lasting(1.2 * LEASE, 3 * LEASE)


# fault matrix: 25
def freeze_child(stage: Stage) -> Fault:
    with stage.busy_worker() as (worker, _):
        frozen = send(worker.children, signal.SIGSTOP)
        worker.signal(signal.SIGCONT)
        yield stage.lasting(0, LEASE)
        send(frozen, signal.SIGCONT)


# fault matrix: 42
def drain_worker(stage: Stage) -> Fault:
    with stage.busy_worker() as (worker, _):
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGCONT)
        yield from until_dead(worker, 30)
        worker.kill()


# fault matrix: 43
def drain_worker_twice(stage: Stage) -> Fault:
    """Send SIGTERM twice: the second ends it at once."""
    with stage.busy_worker() as (worker, _):
        worker.signal(signal.SIGTERM)
        worker.signal(signal.SIGCONT)
        yield stage.lasting(0, 3)
        worker.signal(signal.SIGTERM)
        yield from until_dead(worker, 30)
        worker.kill()


# fault matrix: 1, 2
def kill_gateway(stage: Stage) -> Fault:
    with stage.gateway() as gateway:
        gateway.kill()
        yield stage.lasting(0, 5)


# fault matrix: 1, 2
def kill_gateway_at_a_point(stage: Stage) -> Fault:
    with stage.gateway() as gateway:
        yield from _dies_at_a_point(stage, gateway, POINTS_OF_GATEWAYS, 3)


# fault matrix: 42
def drain_gateway(stage: Stage) -> Fault:
    with stage.gateway() as gateway:
        gateway.signal(signal.SIGTERM)
        yield from until_dead(gateway, 30)
        gateway.kill()


def freeze_gateway(stage: Stage) -> Fault:
    with stage.gateway() as gateway:
        gateway.signal(signal.SIGSTOP)
        yield stage.lasting(1, 2 * LEASE)


# fault matrix: 6, 7
def flush_redis(stage: Stage) -> Fault:
    with stage.server("redis"), stage.talking() as client:
        client.flushall()
        yield 0


# fault matrix: 8
def empty_redis(stage: Stage) -> Fault:
    """Kill it; after a while it is back, and empty."""
    with stage.server("redis"):
        stage.cluster.kill_redis()
        yield stage.lasting(0, 5)
        stage.cluster.restart_redis()


# fault matrix: 9
def bring_back_old_redis(stage: Stage) -> Fault:
    """Kill it; it is back with an old snapshot: messages for units that are done since."""
    with stage.server("redis"), stage.talking() as client:
        client.save()
        yield stage.lasting(5, 2 * LEASE)
        stage.cluster.kill_redis()
        stage.cluster.restart_redis()
        (stage.cluster.folder / "valkey" / "data" / "dump.rdb").unlink()


# fault matrix: 10
def freeze_redis(stage: Stage) -> Fault:
    with stage.server("redis"):
        pid = stage.cluster.redis.child.process.pid
        send([pid], signal.SIGSTOP)
        yield stage.lasting(1, 4 * LEASE)
        send([pid], signal.SIGCONT)


# fault matrix: 11
def fill_redis(stage: Stage) -> Fault:
    """Redis refuses every write for want of memory."""
    with stage.server("redis"), stage.talking() as client:
        client.config_set("maxmemory", 1)
        yield stage.lasting(1, LEASE)
        client.config_set("maxmemory", 0)


# fault matrix: 14, 15, 16
def forge_messages(stage: Stage) -> Fault:
    """Send pickle, garbage, a giant, units that do not exist, and true units many times over."""
    if "redis" in stage.cluster.held:
        raise NoTarget
    known = [held.unit for held in stage.watch.leases] or [1]
    bodies = [
        pickle.dumps({"t": None, "f": "work", "a": (1,), "k": {}, "et": 1}), b"\x00garbage", b"[" * 100_000,
        b'{"t": null, "f": "rm", "a": [1], "k": {}, "et": 1}',
        b'{"t": null, "f": "work", "a": ["x", {}], "k": {}, "et": 1}',
        *(
            b'{"t": null, "f": "work", "a": [%d], "k": {}, "et": 1}' % unit
            for unit in [10**15, -1, *known * 10]
        ),
    ]  # fmt: skip
    with stage.talking() as client, client.pipeline(transaction=False) as pipeline:
        stage.target = "redis"
        for no, body in enumerate(bodies):
            name = f"soak{stage.chance.getrandbits(32)}.{no}"
            pipeline.psetex(f"arq:job:{name}", 60_000, body).zadd(QUEUE, {name: 1})
        pipeline.execute()
        yield 0


# fault matrix: 29
def end_backends(stage: Stage) -> Fault:
    """End some of the connections to Postgres, in the middle of their work."""
    if "postgres" in stage.cluster.held:
        raise NoTarget
    stage.target = "postgres"
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(stage.cluster.postgres.url, autocommit=True, connect_timeout=2) as connection,
    ):
        connection.execute("SET statement_timeout = '2s'")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE application_name LIKE 'gristmill%%' ORDER BY random() LIMIT %s) AS unlucky",
            (stage.chance.randint(1, 8),),
        )
    yield 0


# fault matrix: 28
def kill_backend(stage: Stage) -> Fault:
    """Send SIGKILL to one session: Postgres ends all of them and recovers from its log."""
    with stage.server("postgres"):
        if sessions := stage.cluster.postgres_sessions():
            send([stage.chance.choice(sessions)], signal.SIGKILL)
        yield from until_postgres_answers(stage.cluster)


# fault matrix: 28
def kill_postgres(stage: Stage) -> Fault:
    with stage.server("postgres"):
        stage.cluster.kill_postgres()
        yield stage.lasting(0, 2 * LEASE)
        stage.cluster.restart_postgres()


# fault matrix: 32
def freeze_postgres(stage: Stage) -> Fault:
    with stage.server("postgres"):
        frozen = send(stage.cluster.postgres_processes(), signal.SIGSTOP)
        yield stage.lasting(1, 2 * LEASE)
        send(frozen, signal.SIGCONT)


def slow_link(stage: Stage) -> Fault:
    with stage.disturbed() as worker:
        worker.link.latency = worker.bell.latency = stage.chance.uniform(0.005, 0.05)
        yield stage.lasting(5, 3 * LEASE)


# fault matrix: 31
def cut_off(stage: Stage) -> Fault:
    """No byte passes between a worker and Postgres, and no connection ends: the worker must give up."""
    with stage.disturbed() as worker:
        worker.link.black_hole()
        yield stage.lasting(1, 3 * LEASE)


def cut_off_from_redis(stage: Stage) -> Fault:
    with stage.disturbed() as worker:
        worker.bell.black_hole()
        yield stage.lasting(1, 3 * LEASE)


# fault matrix: 13, 29
def reset_links(stage: Stage) -> Fault:
    with stage.disturbed() as worker:
        worker.link.reset()
        worker.bell.reset()
        yield 0


# fault matrix: 30
def lose_commit_replies(stage: Stage) -> Fault:
    """Postgres commits, and the worker gets no answer."""
    with stage.disturbed() as worker:
        worker.link.lose_commit_replies(
            times=stage.chance.randint(1, 5), odds=0.5, seed=stage.chance.getrandbits(32)
        )
        yield stage.lasting(5, 2 * LEASE)


# fault matrix: 29
def lose_commits(stage: Stage) -> Fault:
    with stage.disturbed() as worker:
        worker.link.cut_before(
            "COMMIT", times=stage.chance.randint(1, 5), odds=0.5, seed=stage.chance.getrandbits(32)
        )
        yield stage.lasting(5, 2 * LEASE)


# fault matrix: 19, 29
def cut_copies(stage: Stage) -> Fault:
    with stage.disturbed() as worker:
        worker.link.cut_copies(times=2)
        yield stage.lasting(5, 2 * LEASE)


# fault matrix: 2, 30
def lose_submit_replies(stage: Stage) -> Fault:
    """Postgres commits the job, and the gateway gets no answer."""
    with stage.gateway() as gateway:
        gateway.link.lose_commit_replies(times=3, odds=0.7, seed=stage.chance.getrandbits(32))
        yield stage.lasting(1, LEASE)
        gateway.link.heal()


FAULTS: dict[Callable[[Stage], Fault], int] = {
    kill_worker: 8, kill_worker_at_a_point: 6, kill_child: 8, kill_template: 2,
    freeze_worker: 8, freeze_child: 4, drain_worker: 6, drain_worker_twice: 2,
    kill_gateway: 4, kill_gateway_at_a_point: 3, drain_gateway: 2, freeze_gateway: 2, lose_submit_replies: 4,
    flush_redis: 10, empty_redis: 5, bring_back_old_redis: 4,
    freeze_redis: 4, fill_redis: 4, forge_messages: 10,
    end_backends: 10, kill_backend: 2, kill_postgres: 2, freeze_postgres: 3,
    slow_link: 4, cut_off: 5, cut_off_from_redis: 4, reset_links: 8,
    lose_commit_replies: 8, lose_commits: 6, cut_copies: 6,
}  # fmt: skip
"""The weight with which each is drawn."""
