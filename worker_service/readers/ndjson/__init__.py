"""NDJSON: one JSON object a line.

A record is a line. JSON allows no line feed inside a string, so every line feed ends a record. That holds for
lines that are no JSON too, so cuts need no guess. `content` has the lines and the cuts. `exact` defines the
meaning of a line, and `quick` reads many of them with the same meaning. `plan` and `read` do the rest.
"""
