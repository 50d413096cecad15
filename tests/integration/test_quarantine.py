"""Bad rows in jobs: they fail a job, are kept aside or are counted; never lost and never counted twice."""

import csv
import gzip
import io
import json

import pytest

from shared.db.pool import connect
from shared.db.verify import violations

GOOD = "".join(f"{'ab'[i % 2]},{i}\n" for i in range(200))
LINES = ["k,v", *GOOD.splitlines()]
FAULTS = {2: "a,x", 60: "a", 61: "a,1,2", 120: "b,\N{POUND SIGN}5", 203: "b,y"}
"""By line of the file: a record that is no row."""
for at, bad in FAULTS.items():
    LINES.insert(at - 1, bad)
TEXT = "\n".join(LINES) + "\n"


def place(line):
    """The byte at which a line begins."""
    return len("".join(text + "\n" for text in LINES[: line - 1]).encode())


def spec(uri, chunk_bytes=400, **options):
    return {
        "source": {"uris": [uri], "types": {"v": "int64"}},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}, {"fn": "count"}],
        "options": {"chunk_bytes": chunk_bytes, **options},
    }


ROWS = [{"k": "a", "sum_v": 9900, "count": 100}, {"k": "b", "sum_v": 10_000, "count": 100}]


def kept(stack, job_id, **parameters):
    """Every bad row of a job, page by page."""
    found, after = [], {}
    while True:
        page = stack.http.get(f"/v1/jobs/{job_id}/quarantine", params={**parameters, **after}).json()
        found += page["items"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


def test_bad_rows_are_kept_aside_and_the_others_aggregated(stack):
    uri = stack.write("bad.csv", TEXT)
    job = stack.run(spec(uri, on_bad_row="quarantine"))
    assert (job["state"], job["error"]) == ("succeeded", None)
    assert stack.rows(job["id"], order_by="k", select="k,sum_v,count") == ROWS
    counts = {
        "read": 205,
        "aggregated": 200,
        "filtered": 0,
        "dropped_null_key": 0,
        "quarantined": 5,
        "skipped": 0,
    }
    receipt = stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()
    assert (receipt["rows"], receipt["chunks"] > 2) == (counts, True)
    assert job["progress"]["rows"]["quarantined"] == 5
    assert job["links"]["quarantine"] == f"/v1/jobs/{job['id']}/quarantine"
    rows = kept(stack, job["id"], limit=2)
    known = {"uri": uri, "row": None, "truncated": False}
    assert rows == [
        {
            **known,
            "byte": place(line),
            "line": line,
            "column": column,
            "reason": reason,
            "value": value,
            "text": FAULTS[line],
        }
        for line, column, reason, value in [
            (2, "v", "'x' is no int64", "x"),
            (60, None, "1 field instead of 2", None),
            (61, None, "3 fields instead of 2", None),
            (120, "v", "'£5' is no int64", "£5"),
            (203, "v", "'y' is no int64", "y"),
        ]
    ]


def test_the_same_rows_are_kept_for_any_chunks_files_and_compression(stack):
    whole = stack.write("whole.csv", TEXT)
    zipped = stack.write("whole.csv.gz", gzip.compress(TEXT.encode()))
    expected = kept(stack, stack.run(spec(whole, 1 << 20, on_bad_row="quarantine"))["id"])
    assert len(expected) == 5
    for uri, chunk_bytes in [(whole, 300), (whole, 1000), (zipped, 300)]:
        found = kept(stack, stack.run(spec(uri, chunk_bytes, on_bad_row="quarantine"))["id"])
        assert [{**row, "uri": whole} for row in found] == expected
    both = spec(whole, 1 << 20, on_bad_row="quarantine")
    both["source"]["uris"] = [whole, stack.write("again.csv", TEXT)]
    again = kept(stack, stack.run(both)["id"])
    assert [{**row, "uri": whole} for row in again] == expected * 2
    assert [row["uri"] for row in again] == [whole] * 5 + [both["source"]["uris"][1]] * 5


def test_bad_rows_come_as_csv_and_as_ndjson_too(stack):
    text = 'k,v\n"a,\n",x\nb,"" \n'
    job = stack.run(spec(stack.write("odd.csv", 'k,v\n"a,\n",x\nb,1,\nc,1\n'), on_bad_row="quarantine"))
    url = f"/v1/jobs/{job['id']}/quarantine"
    rows = stack.http.get(url).json()
    assert (rows["final"], rows["next"], len(rows["items"])) == (True, None, 2)
    lines = stack.http.get(url, params={"format": "ndjson"})
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == rows["items"]
    assert stack.http.get(url, headers={"Accept": "application/x-ndjson"}).text == lines.text
    table = stack.http.get(url, headers={"Accept": "text/csv"})
    found = list(csv.DictReader(io.StringIO(table.text, newline="")))
    shown = [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows["items"]
    ]
    assert found == [{**row, "truncated": "false"} for row in shown]
    assert stack.http.head(url).status_code == 200
    assert text


def test_a_job_without_bad_rows_has_an_empty_quarantine(stack):
    job = stack.run(spec(stack.write("good.csv", "k,v\n" + GOOD), on_bad_row="quarantine"))
    url = f"/v1/jobs/{job['id']}/quarantine"
    assert stack.http.get(url).json() == {"items": [], "next": None, "final": True}
    assert stack.http.get(url, params={"format": "csv"}).text.startswith("uri,byte,line,row,column,reason,")
    assert stack.http.get(url, params={"format": "ndjson"}).text == ""


def test_bad_rows_are_only_counted_where_the_spec_says_so(stack):
    job = stack.run(spec(stack.write("bad.csv", TEXT), on_bad_row="skip"))
    assert stack.rows(job["id"], order_by="k", select="k,sum_v,count") == ROWS
    assert (job["progress"]["rows"]["skipped"], kept(stack, job["id"])) == (5, [])


def test_the_first_bad_row_fails_a_job_that_allows_none_with_its_place(stack):
    uri = stack.write("late.csv", "k,v\n" + GOOD + "a,x\n")
    job = stack.run(spec(uri, 1 << 20))
    [error] = job["error"]["errors"]
    assert (job["state"], job["error"]["code"]) == ("failed", "bad_row")
    assert error == {
        "detail": "'x' is no int64",
        "uri": uri,
        "byte": 4 + len(GOOD),
        "line": 202,
        "column": "v",
        "value": "x",
    }


@pytest.mark.parametrize("mode", ["quarantine", "skip"])
@pytest.mark.parametrize("chunk_bytes", [400, 1 << 20])
def test_more_bad_rows_than_are_allowed_fail_a_job_and_as_many_do_not(stack, mode, chunk_bytes):
    uri = stack.write("bad.csv", TEXT)
    assert stack.run(spec(uri, chunk_bytes, on_bad_row=mode, max_bad_rows=5))["state"] == "succeeded"
    job = stack.run(spec(uri, chunk_bytes, on_bad_row=mode, max_bad_rows=4))
    assert (job["state"], job["error"]["code"]) == ("failed", "too_many_bad_rows")
    assert job["error"]["detail"].startswith("more than 4 rows are bad: ")
    places = job["error"]["errors"]
    if mode == "quarantine":
        assert places[0]["value"] == "x"
    assert bool(places) != ('options.on_bad_row "fail" tells the place' in job["error"]["detail"])


def test_a_quarantine_without_a_limit_takes_a_thousand_rows(stack):
    uri = stack.write("thousand.csv", "k,v\n" + "a,x\n" * 1000 + "a,1\n")
    assert stack.run(spec(uri, 1 << 20, on_bad_row="quarantine"))["state"] == "succeeded"
    uri = stack.write("more.csv", "k,v\n" + "a,x\n" * 1001 + "a,1\n")
    assert stack.run(spec(uri, 1 << 20, on_bad_row="quarantine"))["error"]["code"] == "too_many_bad_rows"


def test_text_without_a_provable_record_end_fails_a_job_in_every_mode(stack):
    uri = stack.write("open.csv", 'k,v\na,1\n"b,2\n')
    for mode in ("fail", "quarantine", "skip"):
        assert stack.run(spec(uri, 1 << 20, on_bad_row=mode))["error"]["code"] == "bad_row"


def test_errors_of_expressions_are_bad_rows_among_the_others(stack):
    uri = stack.write("overflow.csv", f"k,v\na,1\na,{2**62}\na,x\na,{2**62}\na,5\n")
    asked = spec(uri, 1 << 20, on_bad_row="quarantine") | {"derive": [{"as": "w", "expr": "v * 4"}]}
    asked["aggregates"] = [{"fn": "sum", "column": "w"}]
    job = stack.run(asked)
    assert stack.rows(job["id"], select="sum_w") == [{"sum_w": 24}]
    found = [(row["line"], row["text"], row["reason"].split(":")[0]) for row in kept(stack, job["id"])]
    assert found == [
        (3, f"a,{2**62}", "#/derive/0/expr"),
        (4, "a,x", "'x' is no int64"),
        (5, f"a,{2**62}", "#/derive/0/expr"),
    ]


def test_rows_that_widen_a_column_vanish_from_quarantine_and_are_read_anew(stack):
    """The first chunk keeps a row; a later one widens a column, and all are read again."""
    text = "k,v,u\n" + "a,1,1\n" * 60_000 + "a,x,1\n" + "a,1,1\n" * 60_000 + "a,1,2.5\n"
    asked = spec(stack.write("widens.csv", text), 100_000, on_bad_row="quarantine")
    asked["aggregates"] = [{"fn": "sum", "column": "u"}, {"fn": "sum", "column": "v"}]
    job = stack.run(asked)
    assert stack.rows(job["id"], select="sum_u,sum_v") == [{"sum_u": 120_002.5, "sum_v": 120_001}]
    assert [(row["line"], row["text"]) for row in kept(stack, job["id"])] == [(60_002, "a,x,1")]


async def test_the_database_keeps_its_invariants(stack):
    pool = connect(stack.database_url, name="test")
    assert await violations(pool) == []
    await pool.close()


def test_what_the_url_does_not_take_is_refused(stack):
    job = stack.run(spec(stack.write("bad.csv", TEXT), on_bad_row="quarantine"))
    url = f"/v1/jobs/{job['id']}/quarantine"
    assert stack.http.get("/v1/jobs/job_01k5w9w9w9w9w9w9w9w9w9w9w9/quarantine").status_code == 404
    assert stack.http.get(url, params={"format": "xml"}).status_code == 422
    assert stack.http.get(url, params={"k": "a"}).status_code == 422
    assert stack.http.get(url, params={"format": "csv", "limit": "1"}).status_code == 422
    assert stack.http.get(url, params={"limit": "0"}).status_code == 422
    assert stack.http.get(url, params={"after": "x"}).status_code == 400
    assert stack.http.get(url, headers={"Accept": "image/png"}).status_code == 406
    other = stack.run(spec(stack.write("bad.csv", TEXT), 500, on_bad_row="quarantine"))
    after = stack.http.get(f"/v1/jobs/{other['id']}/quarantine", params={"limit": 1}).json()["next"]
    assert stack.http.get(url, params={"after": after}).json()["code"] == "invalid_cursor"
