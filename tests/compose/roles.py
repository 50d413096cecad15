"""The roles of Postgres in containers."""

from tests.compose.engine import Compose


def check_roles(compose: Compose) -> None:
    """The services are no superuser, and the superuser cannot log in over a network."""
    supers = "SELECT rolname FROM pg_roles WHERE rolsuper"
    assert compose.psql("gristmill_admin", supers).stdout.split() == ["gristmill_admin"]
    owners = "SELECT DISTINCT nspowner::regrole FROM pg_namespace WHERE nspname ~ '^(gristmill|results)'"
    assert compose.psql("gristmill_admin", owners).stdout.split() == ["gristmill"]
    for attempt in (
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE gristmill_admin",
    ):
        refused = compose.psql("gristmill", attempt)
        assert "42501" in refused.stderr, refused  # insufficient_privilege, in whatever words
    reached = compose.psql("gristmill_admin", "SELECT 1", "--host=postgres")
    assert "authentication failed" in reached.stderr, reached
    assert compose.psql("gristmill", "SELECT 1", "--host=postgres").stdout.split() == ["1"]
