"""Rows to states, states to fewer states, states to result rows: for any list of aggregates."""
