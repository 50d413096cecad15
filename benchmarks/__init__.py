"""Figures that the docs quote. Run by `make bench`; never part of the tests, because machines are noisy."""
