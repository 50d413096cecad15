"""The Python client of a Gristmill service: `Client`, `AsyncClient`, and the objects that they answer with.

Requests and decisions are generators of `steps`, which know no socket. Two thin classes drive them.
"""
