"""Starts Postgres, Valkey and the services on one machine, and ends them in order."""
