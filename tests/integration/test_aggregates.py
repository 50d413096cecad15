"""Every aggregate through real processes.

Any chunking gives one digest, and Postgres, JSON and CSV hold the same results.
"""

import importlib.util
import json
import random
from pathlib import Path

import pytest

from shared.spec.functions import FUNCTIONS
from tests.support.stack import running

GIVEN = {"column": "x", "by": "n", "y": "x", "x": "n", "q": [0.5, 0.999], "k": 3}
TYPES = {"price": "decimal(30,2)"}
DIGEST = "sha256:804e1b087667c013a44a3a44963c256fae2e2e0308794178d9b54bfa6af65839"
"""The digest of `lines()` by every aggregate: it never changes."""


def every_aggregate():
    """Each function of a double; those of any type also of a text, a bool, a long decimal and a date."""
    for name, function in FUNCTIONS.items():
        given = {parameter: GIVEN[parameter] for parameter in function.parameters if parameter in GIVEN}
        yield {"fn": name, **given, **({"column": "b"} if name in {"any", "all"} else {})}
        if "column" in given and function.first_accepts.name == "any type":
            yield from ({"fn": name, **given, "column": column} for column in ("s", "b", "price", "d"))
        elif "column" in given and function.first_accepts.name == "a number":
            yield from ({"fn": name, **given, "column": column} for column in ("n", "price"))


def lines(rows=600, seed=3):
    chance = random.Random(seed)
    for i in range(rows):
        cells = [
            chance.choice("abc"),
            "" if i % 7 == 0 else f"{chance.randrange(-(10**12), 10**12)}e{chance.randint(-20, 3)}",
            str(chance.randrange(-(2**62), 2**62)) if i % 5 else "",
            chance.choice(['"say ""x"", {y}"', "back\\slash", '""', "", "né"]),
            chance.choice(["true", "false", ""]),
            f"{chance.randrange(-(10**27), 10**27)}.{chance.randrange(100):02d}",
            f"{chance.randrange(1900, 2100)}-0{chance.randrange(1, 10)}-15",
        ]
        yield ",".join(cells)


def spec(uris, chunk_bytes=None, **rest):
    return {
        "source": {"uris": uris, "format": "csv", "types": TYPES},
        "group_by": ["k"],
        "aggregates": list(every_aggregate()),
        "options": {"chunk_bytes": chunk_bytes},
        **rest,
    }


@pytest.fixture(scope="module")
def uri(stack):
    return stack.write("every.csv", "k,x,n,s,b,price,d\n" + "\n".join(lines()) + "\n")


@pytest.fixture(scope="module")
def recompute():
    path = Path(__file__).parents[2] / "examples" / "recompute_digest.py"
    found = importlib.util.spec_from_file_location("recompute_digest", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.digest


@pytest.mark.parametrize("semantics", ["sql", "pandas"])
def test_every_aggregate_has_one_digest_for_any_chunking_and_a_stranger_can_recompute_it(
    stack, uri, recompute, semantics
):
    jobs = [stack.run(spec([uri], size, semantics=semantics)) for size in (None, 3_000, 1_500)]
    assert [job["error"] for job in jobs] == [None] * 3
    assert len({job["result"]["digest"] for job in jobs}) == 1
    assert {job["progress"]["chunks"]["total"] for job in jobs} > {1}
    export = stack.http.get(f"/v1/jobs/{jobs[2]['id']}/rows", params={"format": "csv"}).content.decode()
    assert recompute(export, jobs[2]["result"]["columns"], 1) == jobs[2]["result"]["digest"]


def test_one_worker_and_three_give_the_literal_digest_for_any_chunking(database_url, redis_url, tmp_path):
    with running(database_url, redis_url, tmp_path, GRISTMILL_SLOTS="1") as stack:
        uri = stack.write("every.csv", "k,x,n,s,b,price,d\n" + "\n".join(lines()) + "\n")
        jobs = [stack.run(spec([uri], size)) for size in (None, 5_000)]
        stack.worker()
        stack.worker()
        jobs += [stack.run(spec([uri], size)) for size in (20_000, 3_000)]
    assert [job["error"] for job in jobs] == [None] * 4
    assert {job["result"]["digest"] for job in jobs} == {DIGEST}


def test_arrays_are_arrays_in_postgres_lists_in_json_and_json_in_csv(stack):
    uri = stack.write("tops.csv", 'k,s,m\na,"say ""x""",1.50\na,"{b,\\c}",20.00\na,NULL,3.25\nb,,\n')
    aggregates = [{"fn": "top", "column": "s", "k": 2}, {"fn": "bottom", "column": "m", "k": 2}]
    source = {"uris": [uri], "format": "csv", "types": {"m": "decimal(9,2)"}}
    job = stack.run({"source": source, "group_by": ["k"], "aggregates": aggregates})
    assert job["error"] is None
    assert [column["type"] for column in job["result"]["columns"]] == ["string", "string[]", "decimal(9,2)[]"]
    relation = job["result"]["relation"]
    assert stack.sql(f"SELECT top_s, bottom_m::text FROM {relation} ORDER BY k") == [
        (["{b,\\c}", 'say "x"'], "{1.50,3.25}"),
        (None, None),
    ]
    assert stack.rows(job["id"], k="a") == [
        {"k": "a", "top_s": ["{b,\\c}", 'say "x"'], "bottom_m": ["1.50", "3.25"]}
    ]
    assert stack.rows(job["id"], top_s__isnull="true", select="k") == [{"k": "b"}]
    refused = stack.http.get(f"/v1/jobs/{job['id']}/rows", params={"order_by": "top_s"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    export = stack.http.get(
        f"/v1/jobs/{job['id']}/rows", params={"format": "csv", "k": "a", "select": "bottom_m"}
    ).text
    assert export == 'bottom_m\r\n"[1.50,3.25]"\r\n'
    assert json.loads("[1.50,3.25]") == [1.5, 3.25]


@pytest.mark.parametrize("chunk_bytes", [None, 1])
def test_first_and_last_are_in_the_order_of_files_and_of_rows_within_them(stack, chunk_bytes):
    for i in range(3):
        stack.write(f"order/part-{i}.csv", f"k,v\na,{10 * i}\na,{10 * i + 1}\n")
    aggregates = [{"fn": "first", "column": "v"}, {"fn": "last", "column": "v"}]
    source = {"uris": [f"file://{stack.data}/order/*.csv"], "format": "csv"}
    job = stack.run(
        {
            "source": source,
            "group_by": ["k"],
            "aggregates": aggregates,
            "options": {"chunk_bytes": chunk_bytes},
        }
    )
    assert stack.rows(job["id"]) == [{"k": "a", "first_v": 0, "last_v": 21}]


def test_values_past_the_limit_fail_the_job_with_the_reason(stack):
    uri = stack.write("many.csv", "v\n" + "".join(f"{i / 7}\n" for i in range(5000)))
    source = {"uris": [uri], "format": "csv"}
    job = stack.run(
        {
            "source": source,
            "group_by": [],
            "aggregates": [{"fn": "median", "column": "v"}],
            "limits": {"max_state_bytes": 1000},
        }
    )
    assert (job["state"], job["error"]["code"]) == ("failed", "state_too_large")
    assert "limits.max_state_bytes" in job["error"]["detail"]


VALUES = [i * 0x9E3779B97F4A7C15 % 2**62 for i in range(1_500_000)]
"""All of them different: 12 MB while they are merged, and more than one merge unit's share."""


@pytest.fixture(scope="module")
def many():
    return "k,v\n" + "".join(f"{i % 64},{value}\n" for i, value in enumerate(VALUES))


def of_values(uri, keys):
    aggregates = [{"fn": fn, "column": "v"} for fn in ("median", "nunique", "mode")]
    return {
        "source": {"uris": [uri], "format": "csv"},
        "group_by": keys,
        "aggregates": aggregates,
        "options": {"chunk_bytes": 4_000_000},
    }


def test_one_group_may_keep_more_values_than_one_merge_unit_is_meant_for(stack, many):
    job = stack.run(of_values(stack.write("many-values.csv", many), []))
    middle = sorted(VALUES)[len(VALUES) // 2 - 1 :][:2]
    assert stack.rows(job["id"]) == [{"median_v": sum(middle) / 2, "nunique_v": len(VALUES), "mode_v": 0}]
    ((merges,),) = stack.sql(
        "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND kind = 'merge'", job["id"]
    )
    assert merges > 1


def test_one_group_whose_values_exceed_a_slot_fails_the_job_and_says_what_to_do(
    database_url, redis_url, tmp_path, many
):
    memory = 320 * 1024**2
    with running(
        database_url, redis_url, tmp_path, GRISTMILL_SLOTS="1", GRISTMILL_SLOT_MEMORY_BYTES=str(memory)
    ) as stack:
        uri = stack.write("many-values.csv", many)
        failed, finer = stack.run(of_values(uri, [])), stack.run(of_values(uri, ["k"]))
        log = stack.processes[1].log.read_text()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "state_too_large")
    for cure in (
        "limits.max_state_bytes",
        "GRISTMILL_SLOT_MEMORY_BYTES",
        "group by more columns",
        "round the values",
    ):
        assert cure in failed["error"]["detail"]
    assert f"{memory // 32:,} may be held" in failed["error"]["detail"]
    assert "unit.again" not in log
    assert (finer["error"], finer["result"]["rows"]) == (None, 64)
