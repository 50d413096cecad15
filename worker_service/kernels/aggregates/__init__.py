"""The aggregate functions as declarations, one family a module, and the states that they share."""
