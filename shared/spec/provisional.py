"""The parts of a query that change with the type of a column that a value may still widen.

Their errors are *provisional*: another chunk may widen the column, and then there is no such error. So they
fail a job only when every chunk is done, and types are final.
"""

from dataclasses import dataclass

from shared.spec.query import Query
from shared.spec.types import Schema


@dataclass(frozen=True, slots=True)
class Provisional:
    """`columns` are those of batches that may change, undeclared ones and those made of them.

    `groups`: the number and the keys of the groups may change.
    """

    columns: frozenset[str] = frozenset()
    groups: bool = False

    def __bool__(self) -> bool:
        return bool(self.columns)


FINAL = Provisional()
"""No type can change."""


def provisional(query: Query, schema: Schema, *, self_describing: bool) -> Provisional:
    """The parts of *query* that may change. *self_describing* files have columns that no value widens.

    Where `where` may pick other rows, all that is made of these rows may change.
    """
    own = {field.name for field in schema.fields if field.wider}
    if self_describing or not own:
        return FINAL
    columns = own | query.made_of(own)
    picks = query.where is not None and query.where.name in columns
    if picks:
        columns |= {made.name for made in query.made}
    return Provisional(frozenset(columns), picks or any(key.column in columns for key in query.keys))
