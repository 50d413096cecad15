"""Executors run tasks: `protocol` is the interface of each, `processes` runs them in child processes."""
