"""However a dataset is cut, and in whatever order and folds its chunks run, a job ends in the same way.

Expressions have errors in columns that a value in another chunk may widen. The plan has not seen that value.
"""

import asyncio

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.databases import own_database
from tests.support.inline import run_job

LARGE = 2**62
"""Its square needs more than 64 bits, and is no error of a double."""
ROWS = st.sampled_from([("x", "1", "2"), ("y", "-3", "4"), ("x", "", "5"), ("y", "6", "")])
FAULTY = st.sampled_from([("x", str(LARGE), "1"), ("y", str(-LARGE), "2")])
WRONG = ("y", "7", "?")
"""A value that does not fit its declared type."""
WIDER = ("x", "0.5", "1")


@pytest.fixture(scope="module")
def database(postgres):
    with own_database(postgres, "provisional") as dsn:
        yield dsn


@st.composite
def datasets(draw):
    """Rows of one or two files, with at most one that widens column `a`, at any place."""
    rows = draw(st.lists(st.one_of(ROWS, ROWS, FAULTY), min_size=1, max_size=12))
    rows = draw(st.permutations([*rows, *[WRONG] * draw(st.sampled_from([0, 0, 0, 1, 3]))]))
    rows = list(rows)
    if draw(st.booleans()):
        rows.insert(draw(st.sampled_from([0, len(rows), len(rows) // 2])), WIDER)
    at = draw(st.integers(0, len(rows)))
    return [part for part in (rows[:at], rows[at:]) if part]


def text(rows):
    return "k,a,b\n" + "".join(",".join(row) + "\n" for row in rows)


def bad_rows(files, paths):
    """The rows that cannot be squared, and those that do not fit, with their place: (uri, byte, line)."""
    wide = any(WIDER in rows for rows in files)
    squared, unfit = [], []
    for rows, path in zip(files, paths, strict=True):
        for no, row in enumerate(rows):
            place = (f"file://{path}", len(text(rows[:no])), no + 2)
            if row == WRONG:
                unfit.append(place)
            elif not wide and row[1] and abs(int(row[1])) == LARGE:
                squared.append(place)
    return squared, unfit


def spec(paths, options, **changes):
    return {
        "source": {"uris": [f"file://{path}" for path in paths], "types": {"k": "string", "b": "int64"}},
        "derive": [{"as": "square", "expr": "a * a"}, {"as": "more", "expr": "square + b"}],
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "more"}, {"fn": "count"}],
        "options": options,
    } | changes


def run(database, asked, paths, **how):
    return asyncio.run(run_job(database, asked, paths, types={"a": "int64"}, **how))


def placed(error):
    return [(row["uri"], row["byte"], row.get("line")) for row in error["errors"]]


OPTIONS = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"on_bad_row": st.sampled_from(["quarantine", "skip"])},
        optional={"max_bad_rows": st.integers(0, 4)},
    ),
)


@settings(max_examples=12, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(datasets(), OPTIONS, st.integers(1, 60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_a_job_ends_in_the_same_way_for_any_chunks_and_any_order(
    database, tmp_path_factory, files, options, chunk_bytes, batch_bytes, chance
):
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / f"{no}.csv" for no in range(len(files))]
    for path, rows in zip(paths, files, strict=True):
        path.write_text(text(rows))
    asked = spec(paths, options)
    whole = run(database, asked, paths)
    orders = [list, lambda leases: leases[::-1], lambda leases: chance.sample(leases, len(leases))]
    cuts = [
        run(database, asked, paths, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes, order=order)
        for order in orders
    ]
    cuts.append(run(database, asked, paths, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes, fold=True))
    squared, unfit = bad_rows(files, paths)
    bad = sorted(squared + unfit)  # the names of the files are in their order
    mode = options.get("on_bad_row", "fail")
    most = 0 if mode == "fail" else options.get("max_bad_rows", 1000)
    for found in (whole, *cuts):
        if len(bad) <= most:
            assert (found.state, found.error) == ("succeeded", None)
            assert found.digest == whole.digest
            assert [row[:3] for row in found.kept] == (bad if mode == "quarantine" else [])
            assert found.kept == whole.kept
            continue
        assert (found.state, found.digest) == ("failed", None)
        assert found.error["code"] == ("bad_row" if mode == "fail" else "too_many_bad_rows")
        if len(unfit) > most:  # such rows fail a job at once, so any of them may be shown
            places = {*bad}
            if mode == "quarantine" and found is not whole:  # lines of chunks before may not be counted yet
                places |= {(uri, byte, None) for uri, byte, _ in bad}
            assert {*placed(found.error)} <= places
        else:
            assert found.error == whole.error
            assert placed(found.error) == bad[: 1 if mode == "fail" else 3]


@pytest.mark.parametrize("last", [True, False])
def test_a_limit_of_groups_holds_for_the_keys_of_the_final_type(database, tmp_path, last):
    """The sums of integers are four. As doubles they are two, since 2**53 + 1 is none."""
    pairs = [f"{2**53},0", f"{2**53},1", f"{-(2**53)},0", f"{-(2**53)},-1"]
    for values, groups in [(["0.5,0"], 3), ([], 4)]:
        rows = [*pairs, *values] if last else [*values, *pairs]
        path = tmp_path / f"{groups}.csv"
        path.write_text("a,b\n" + "".join(f"{row}\n" for row in rows))
        asked = {
            "source": {"uris": [f"file://{path}"], "types": {"b": "int64"}},
            "derive": [{"as": "key", "expr": "a + b"}],
            "group_by": ["key"],
            "aggregates": [{"fn": "count"}],
        }
        for most in (groups, groups - 1):
            limited = asked | {"limits": {"max_groups": most}}
            for chunk_bytes in (6, 79, 1000):
                for order in (list, lambda leases: leases[::-1]):
                    found = run(database, limited, [path], chunk_bytes=chunk_bytes, order=order)
                    if most == groups:
                        assert (found.state, found.error) == ("succeeded", None)
                    else:
                        assert (found.state, found.error["code"]) == ("failed", "group_limit_exceeded")
