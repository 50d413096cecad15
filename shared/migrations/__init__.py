"""Alembic migrations: one numbered .sql file each, run by a revision of the same number."""
