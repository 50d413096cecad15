"""Jobs that a worker of the state versions before 5 has begun are planned again, by one of version 5."""

from shared.migrations.run import begin_jobs_anew

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    begin_jobs_anew(5)
