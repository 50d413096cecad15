"""Services that start before their servers wait, say so, and then work."""

from gristmill.launcher.servers import start_postgres, start_valkey
from shared.db.migrate import upgrade_blocking
from tests.support.stack import Stack, eventually


def test_gateway_and_worker_wait_for_postgres_redis_and_migrations(tmp_path):
    """The servers are started once, to settle their ports and passwords, and stopped again."""

    def postgres():
        return start_postgres(tmp_path / "postgres", log=tmp_path / "postgres.log", durable=True)

    def valkey():
        return start_valkey(tmp_path / "valkey", log=tmp_path / "valkey.log", durable=True)

    first = postgres(), valkey()
    for server in first:
        server.child.stop()
    stack = Stack(first[0].url, first[1].url, tmp_path)
    servers = []
    try:
        gateway, worker = stack.start("api_service", "serve"), stack.start("worker_service")
        eventually(
            lambda: b"database.waits" in worker.log.read_bytes(),
            "the worker's word that it waits for Postgres",
        )
        eventually(lambda: b"gateway.listening" in gateway.log.read_bytes(), "the gateway's start")
        assert stack.http.get("/livez").status_code == 200
        assert stack.http.get("/readyz").status_code == 503

        servers.append(postgres())
        eventually(
            lambda: b"migrations are not at head" in worker.log.read_bytes(),
            "the worker's word that it waits for migrations",
        )
        assert stack.http.get("/readyz").status_code == 503
        upgrade_blocking(servers[0].url)
        eventually(lambda: stack.http.get("/readyz").status_code == 200, "readiness")
        assert stack.http.get("/readyz").json()["status"] == "degraded"
        job = stack.submit(
            {
                "source": {"uris": [stack.write("a.csv", "k\na\n")]},
                "group_by": ["k"],
                "aggregates": [{"fn": "count"}],
            }
        )

        servers.append(valkey())
        assert stack.wait(job["id"])["state"] == "succeeded"
        stack.close()
    finally:
        stack.close()
        for server in servers:
            server.child.stop()
