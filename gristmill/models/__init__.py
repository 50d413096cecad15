"""A published result as the text of a Python module that reads it.

Functions of the result's document, `GET /v1/results/{name}`. They import neither Django nor SQLAlchemy.
"""
