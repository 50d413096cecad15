"""Executors run tasks: `protocol` says what each of them does, `processes` does it in child processes."""
