"""Specs that are as dear to check as their size allows, by the kind of work.

A family takes a size in bytes.
"""

import json
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

Family = Callable[[int], bytes]


def spec(**changes: Any) -> dict[str, Any]:
    return {"source": {"uris": ["upload:u"]}, "group_by": ["k"], "aggregates": [{"fn": "count"}], **changes}


def filled(size: int, make: Callable[[list[Any]], Any], items: Iterable[Any]) -> bytes:
    """The body of *make* over as many of *items* as fit in *size* bytes."""
    room, taken = size - len(json.dumps(make([]))), []
    for item in items:
        room -= len(json.dumps(item)) + 2
        if room < 0:
            break
        taken.append(item)
    while len(body := json.dumps(make(taken), separators=(",", ":")).encode()) > size:
        del taken[len(taken) * size // len(body) :]
    return body


def misspelt_index_columns_beside_many_columns(size: int) -> bytes:
    quantiles = (
        {"fn": "quantile", "column": "c", "q": [no / 1000 for no in range(100)], "as": f"abab{i}" * 6}
        for i in count()
    )
    indexes = [["baba" * 6 + f"{i}{j}_p{j}" for j in range(32)] for i in range(4)]
    return filled(size, lambda taken: spec(aggregates=taken, output={"indexes": indexes}), quantiles)


def long_misspelt_names_beside_long_ones(size: int) -> bytes:
    aggregates = ({"fn": "count", "as": "ab" * 18 + f"{i:03}"} for i in range(400))
    indexes = [["ba" * 18 + f"{i}{j}" for j in range(32)] for i in range(4)]
    return filled(size, lambda taken: spec(aggregates=taken, output={"indexes": indexes}), aggregates)


def every_column_of_every_index_wrong(size: int) -> bytes:
    return filled(
        size,
        lambda taken: spec(output={"indexes": [taken[i : i + 32] for i in range(0, len(taken), 32)]}),
        map(str, range(512)),
    )


def misspelt_functions(size: int) -> bytes:
    return filled(
        size, lambda taken: spec(aggregates=taken), ({"fn": "medain" + "x" * (i % 30)} for i in count())
    )


def nearly_functions(size: int) -> bytes:
    return filled(size, lambda taken: spec(aggregates=taken), ({"fn": "meann"} for _ in range(400)))


def unknown_keys(size: int) -> bytes:
    return filled(size, lambda taken: spec(**dict.fromkeys(taken, 1)), (f"agregates{i}" for i in count()))


def unknown_keys_in_each_aggregate(size: int) -> bytes:
    return filled(
        size,
        lambda taken: spec(aggregates=taken),
        ({"fn": "count", "colunm": 1, "a": 1, "b": 1} for _ in count()),
    )


def one_name_again_and_again(size: int) -> bytes:
    return filled(
        size,
        lambda taken: spec(source={"uris": ["upload:u"], "csv": {"header": False, "names": taken}}),
        ("a" for _ in count()),
    )


def many_names(size: int) -> bytes:
    names = (f"c{i}" for i in count())
    return filled(
        size,
        lambda taken: spec(source={"uris": ["upload:u"], "csv": {"header": False, "names": taken}}),
        names,
    )


def many_uris(size: int) -> bytes:
    return filled(size, lambda taken: spec(source={"uris": taken}), (f"file:///x/{i}" for i in count()))


def many_uris_that_are_allowed(size: int) -> bytes:
    return filled(size, lambda taken: spec(source={"uris": taken}), (f"file:///a/{i}/*" for i in count()))


def many_wrong_uris(size: int) -> bytes:
    return filled(size, lambda taken: spec(source={"uris": taken}), ("x" for _ in count()))


def many_types(size: int) -> bytes:
    kinds = ["decimal(18, 2)", "int", "date"]
    return filled(
        size,
        lambda taken: spec(source={"uris": ["upload:u"], "types": {f"c{i}": kinds[i % 3] for i in taken}}),
        count(),
    )


def many_labels(size: int) -> bytes:
    return filled(size, lambda taken: spec(labels=dict.fromkeys(taken, 1)), (f"l {i}" for i in count()))


def many_time_zones(size: int) -> bytes:
    keys = ({"time_bucket": "1h", "column": f"c{i}", "tz": f"Asia/Seoul{i}"} for i in count())
    return filled(size, lambda taken: spec(group_by=taken), keys)


def arrays_in_arrays(size: int) -> bytes:
    return b"[" + b",".join([b"[" * 190 + b"]" * 190] * (size // 381)) + b"]"


def empty_arrays_for_keys(size: int) -> bytes:
    return filled(size, lambda taken: spec(group_by=taken), ([] for _ in count()))


def numbers_without_end(size: int) -> bytes:
    return b'{"limits": {"max_groups": ' + b"9" * (size - 30) + b"}}"


def long_numbers(size: int) -> bytes:
    return b'{"limits": [' + b",".join([b"9" * 4000] * (size // 4001)) + b"]}"


def exponents(size: int) -> bytes:
    return filled(size, lambda taken: spec(limits={"max_groups": taken}), [1.0]).replace(
        b"1.0", b"1e999999," * (size // 10) + b"1"
    )


def one_key_twice(size: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % i for i in range(size // 12)) + b',"k1":2}'


def sums(size: int) -> bytes:
    items = ({"as": f"d{i}", "expr": "+".join("a" * 90)} for i in range(1000))
    return filled(size, lambda taken: spec(derive=taken), items)


def lists_of_operands(size: int) -> bytes:
    items = ({"as": f"d{i}", "expr": f"least({','.join('a' * 450)})"} for i in range(1000))
    return filled(size, lambda taken: spec(derive=taken), items)


def unknown_names_in_compute(size: int) -> bytes:
    items = ({"as": f"d{i}", "expr": "+".join(["cuont"] * 90)} for i in range(400))
    return filled(size, lambda taken: spec(compute=taken), items)


def short_expressions(size: int) -> bytes:
    items = ({"as": f"d{i}", "expr": "-a"} for i in range(1000))
    return filled(size, lambda taken: spec(derive=taken), items)


EXPRESSIONS: list[Family] = [sums, lists_of_operands, unknown_names_in_compute, short_expressions]
FAMILIES: list[Family] = [
    misspelt_index_columns_beside_many_columns,
    long_misspelt_names_beside_long_ones,
    every_column_of_every_index_wrong,
    misspelt_functions,
    nearly_functions,
    unknown_keys,
    unknown_keys_in_each_aggregate,
    one_name_again_and_again,
    many_names,
    many_uris,
    many_uris_that_are_allowed,
    many_wrong_uris,
    many_types,
    many_labels,
    many_time_zones,
    arrays_in_arrays,
    empty_arrays_for_keys,
    numbers_without_end,
    long_numbers,
    exponents,
    one_key_twice,
]
