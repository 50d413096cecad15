"""Alembic's entry point; the connection comes from `shared.db.migrate`."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="version",
    version_table_schema="gristmill_migrations",
    transactional_ddl=True,
)
context.run_migrations()
