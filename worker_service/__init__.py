"""The workers: one arq parent that talks to Postgres and Redis, one child process a slot that does the work."""
