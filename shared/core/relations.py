"""The names under which SQL reads results: tables in `gristmill_results`, views in a schema per tenant."""

TABLES = "gristmill_results"
_RESERVED = {
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "binary", "both", "case", "cast", "check", "collate", "column", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do", "else", "end",
    "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having",
    "ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "leading", "left",
    "like", "limit", "localtime", "localtimestamp", "natural", "new", "not", "notnull", "null", "of", "off",
    "offset", "old", "on", "only", "or", "order", "outer", "over", "overlaps", "placing", "primary",
    "references", "returning", "right", "select", "session_user", "similar", "some", "symmetric", "table",
    "then", "to", "trailing", "true", "union", "unique", "user", "using", "variadic", "verbose", "when",
    "where", "window", "with",
}  # fmt: skip
"""The words that SQLAlchemy quotes in Postgres."""


def view_schema(tenant: str) -> str:
    return "results" if tenant == "default" else f"results_{tenant}"


def reader_role(tenant: str) -> str:
    """The role whose members may read the tenant's results. A tenant has at most 40 characters, a role 63."""
    return f"gristmill_reader_{tenant}"


def relation_name(tenant: str, name: str | None, relation: str) -> str:
    """The quoted name of the view *name*, or of the table *relation* without one.

    All names are of a-z, 0-9 and _ and begin with a letter, so only reserved words need quotes.
    """
    schema, shown = (view_schema(tenant), name) if name else (TABLES, relation)
    return f"{schema}." + (f'"{shown}"' if shown in _RESERVED else shown)
