"""NDJSON: one JSON object a line.

A record is a line. JSON allows no line feed inside a string, so every line feed ends a record, also where a
line is no JSON: cuts need no guess. `content` has the bytes as blocks of lines and the cuts, `exact` defines
what a line means, `quick` reads many lines at once where it means the same, `plan` and `read` do the rest.
"""
