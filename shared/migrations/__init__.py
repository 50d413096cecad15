"""The database's schema, version by version; each is a .sql file beside its revision."""
