"""Postgres: the truth. The only package that imports asyncpg; one store a table, SQL in named statements."""
