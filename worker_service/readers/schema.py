"""The schema of a dataset of any format: types joined over its files, and those that the spec declares."""

from collections.abc import Collection, Mapping

from shared.errors import UnknownColumn
from shared.spec.faults import pointer
from shared.spec.names import listed, quote
from shared.spec.types import INT64, NULL, DataType, Field, Schema, join


def settled(types: Mapping[str, DataType], declared: Mapping[str, DataType]) -> Schema:
    """The schema of columns whose data have *types*; those *declared* by the spec take precedence.

    A column without any value becomes int64. Nulls are the same in every type, and every aggregate accepts
    int64. It can still widen to float64 and string where a value turns up later. A string could not.
    """
    return Schema(
        tuple(
            Field(name, declared[name], declared=True)
            if name in declared
            else Field(name, INT64 if kind == NULL else kind)
            for name, kind in types.items()
        )
    )


def check_declared(names: Collection[str], declared: Collection[str]) -> None:
    """Raise UnknownColumn for a declared type of a column that the dataset does not have."""
    known = dict.fromkeys(names)
    for name in declared:
        if name not in known:
            raise UnknownColumn(
                f"the dataset has no column {quote(name)}; it has {listed(list(known))}",
                pointer=pointer("source", "types", name),
            )


def wider(left: DataType, right: DataType) -> DataType | None:
    """The type that holds the values of both without turning them into text; None if there is none."""
    if left == right or NULL in {left, right}:
        return right if left == NULL else left
    if left.kind == right.kind == "decimal":
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        return DataType("decimal", whole + scale, scale) if whole + scale <= 38 else None
    kind = join(left.kind, right.kind)
    return None if kind == "string" else DataType(kind)
