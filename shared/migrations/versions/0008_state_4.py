"""Jobs that a worker of the state versions before 4 has begun are planned again, by one of version 4."""

from shared.migrations.run import begin_jobs_anew

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    begin_jobs_anew(4)
