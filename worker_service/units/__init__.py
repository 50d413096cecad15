"""The four kinds of unit, and the one way in which any of them is run."""
