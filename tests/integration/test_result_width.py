"""The bounds of shared/spec/width.py, against Postgres: the widest tables hold the widest values."""

import asyncpg
import pytest

from shared.db.result_tables import create_table
from shared.errors import TooManyColumns
from shared.spec.types import parse_result_type
from shared.spec.width import MAX_COLUMNS, MAX_ROW_BYTES, check_width, row_bytes

WIDEST = {
    "bool": "true",
    "int64": "-9223372036854775808",
    "float64": "-1.7976931348623157e308",
    "date": "'9999-12-31'",
    "timestamptz": "'9999-12-31 23:59:59.999999Z'",
    "string": "'abcdefghijklmnopqrstuvw'",  # 24 bytes with its header; 25 are moved out of the row
    "decimal(38,0)": "9" * 38,
    "decimal(38,17)": "9" * 20 + "." + "9" * 17,  # 23 bytes; a digit more makes 25
    "decimal(18,2)": "9" * 16 + ".99",
    "bool[]": "'{t,t,t}'",
}
MIXTURES = [[kind] for kind in WIDEST] + [
    ["string", "int64"],
    ["bool", "float64", "date"],
    ["decimal(38,17)", "timestamptz", "bool[]"],
    list(WIDEST),
]


def repeated(kinds: list[str], count: int) -> list[str]:
    return [kinds[i % len(kinds)] for i in range(count)]


def types(kinds):
    return [parse_result_type(kind) for kind in kinds]


def most(kinds: list[str]) -> int:
    """The most columns, of these kinds in turn, that are accepted."""
    low, high = 1, 2000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            check_width(types(repeated(kinds, middle)))
            low = middle
        except TooManyColumns:
            high = middle - 1
    return low


async def stored(connection, kinds: list[str], *, null: int | None) -> None:
    columns = [{"name": f"c{no}", "type": kind} for no, kind in enumerate(kinds)]
    values = ["NULL" if no == null else WIDEST[kind] for no, kind in enumerate(kinds)]
    async with connection.transaction():
        await connection.execute(create_table("wide", columns))
        await connection.execute(f"INSERT INTO gristmill_results.wide VALUES (1, {', '.join(values)})")
        await connection.execute("CREATE VIEW results.wide AS SELECT * FROM gristmill_results.wide")
        await connection.execute("DROP TABLE gristmill_results.wide CASCADE")


@pytest.fixture
async def connection(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("kinds", MIXTURES, ids="-".join)
async def test_what_is_accepted_holds_any_values_and_little_more_would_not(connection, kinds):
    count = most(kinds)
    accepted = repeated(kinds, count)
    assert row_bytes(types(accepted)) <= MAX_ROW_BYTES
    for null in (None, 0, count - 1):
        await stored(connection, accepted, null=null)

    too_many = repeated(kinds, count + max(count // 40, 2))
    with pytest.raises(asyncpg.ProgramLimitExceededError):
        await stored(connection, too_many, null=None)


def test_a_table_has_1600_columns_with_its_own():
    assert most(["bool"]) == MAX_COLUMNS - 1
    with pytest.raises(TooManyColumns, match="1,601 columns with _id; a Postgres table has at most 1,600"):
        check_width(types(["bool"] * 1600))


async def test_a_result_of_32_keys_gets_its_index(connection):
    from shared.db.result_tables import key_index
    from shared.spec.models import MAX_KEYS

    columns = [{"name": f"k{no}", "type": "string"} for no in range(MAX_KEYS + 1)]
    await connection.execute(create_table("keyed", columns))
    await connection.execute(key_index("keyed", [column["name"] for column in columns[:MAX_KEYS]]))
    with pytest.raises(asyncpg.TooManyColumnsError):
        await connection.execute(
            key_index("keyed", [column["name"] for column in columns]).replace("keyed_key", "other")
        )
