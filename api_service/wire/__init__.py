"""What travels: documents out, parameters and cursors in. Pure functions."""
