"""Exact arithmetic: sums that do not depend on the order of rows, each result rounded once."""
