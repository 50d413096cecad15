"""The workers: a parent talks to Postgres and Redis, and one child process per slot computes."""
