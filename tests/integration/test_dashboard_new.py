"""A new job from pages alone, without JavaScript: choose data, look at it, ask, submit."""

import json
import re

import pandas as pd
import pytest

from tests.support.html_forms import errors_of, fields_of

ORDERS = (
    "country,ordered,price\nKR,2024-01-03,12.5\nDE,2024-01-09,7.25\nKR,2024-02-01,\n<b>x</b>,2024-02-11,3\n"
)
DEEP = '{"a": ' + "[" * 600 + "]" * 600 + "}"


def opened(stack, path: str) -> str:
    answer = stack.http.get(path)
    assert answer.status_code == 200, answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    return answer.text


def sent(stack, page: str, act: str, form: str = "ask", **changes: str):
    return stack.http.post("/new", data=fields_of(page, form) | changes | {"act": act})


def looked_at(stack, **fields: str) -> str:
    """The page of a dry run."""
    answer = sent(stack, opened(stack, "/new"), "look", "choose", **fields)
    assert answer.status_code == 303, answer.text
    return opened(stack, answer.headers["Location"])


def job_of(stack, answer) -> dict:
    assert answer.status_code == 303, answer.text
    assert re.fullmatch("/jobs/job_[0-9a-z]{26}", answer.headers["Location"])
    return stack.wait(answer.headers["Location"].removeprefix("/jobs/"))


@pytest.fixture
def page(stack) -> str:
    return looked_at(stack, **{"/source/uris": stack.write("new/orders.csv", ORDERS)})


def test_from_a_csv_to_its_rows(stack):
    files = {"csrf": (None, ""), "file": ("my orders.csv", ORDERS, "text/csv")}
    answer = stack.http.post("/new/upload", files=files)
    assert answer.status_code == 303, answer.text
    chosen = opened(stack, answer.headers["Location"])
    assert "my orders.csv" in chosen
    assert fields_of(chosen, "choose")["upload"].startswith("upload:upl_")

    answer = sent(stack, chosen, "look", "choose")
    page = opened(stack, answer.headers["Location"])
    assert '<span class="null">null</span>' in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page
    for kind in ("string", "date", "float64"):
        assert f'<span class="type">{kind}</span>' in page
    assert "delimiter <code>,</code>" in page

    asked = {
        "/group_by/0/column": "ordered",
        "/group_by/0/time_bucket": "1mo",
        "/aggregates/1/fn": "sum",
        "/aggregates/1/column": "price",
        "/aggregates/1/as": "revenue",
        "/output/name": "new_orders_by_month",
    }
    job = job_of(stack, sent(stack, page, "submit", **asked))
    assert job["state"] == "succeeded", job["error"]
    assert opened(stack, f"/jobs/{job['id']}").count("my orders.csv") == 2, "at the top and in the receipt"
    assert "my orders.csv" in opened(stack, f"/new?from={job['id']}")
    orders = pd.read_csv(pd.io.common.StringIO(ORDERS), parse_dates=["ordered"])
    months = orders.groupby(orders.ordered.dt.strftime("%Y-%m-01")).price
    expected = [
        {"ordered": month, "count": int(months.size()[month]), "revenue": float(months.sum()[month])}
        for month in months.groups
    ]
    found = [{k: row[k] for k in ("ordered", "count", "revenue")} for row in stack.rows(job["id"])]
    assert sorted(found, key=lambda row: row["ordered"]) == expected


def test_a_form_that_is_sent_twice_makes_one_job(stack, page):
    first, second = (sent(stack, page, "submit") for _ in range(2))
    assert job_of(stack, first)["id"] == job_of(stack, second)["id"]
    changed = sent(stack, page, "submit", **{"/labels": "second:yes"})
    assert job_of(stack, changed)["id"] != job_of(stack, first)["id"]


def test_the_errors_of_a_spec_stand_beside_their_fields(stack, page):
    changes = {
        "/where": "price >",
        "/output/name": "Not A Name",
        "/options/priority": "high",
        "/aggregates/0/fn": "sum",
        "/group_by/0/column": "ordered",
        "/group_by/0/time_bucket": "2fortnights",
        "/source/csv/delimiter": "<script>",
        "/labels": "a b:1",
    }
    answer = sent(stack, page, "submit", **changes)
    assert answer.status_code == 422
    found = errors_of(answer.text, "ask")
    assert set(found) == {
        "/where",
        "/output/name",
        "/options/priority",
        "/aggregates/0/column",
        "/group_by/0/time_bucket",
        "/source/csv/delimiter",
        "/labels",
    }
    assert "sum needs column" in found["/aggregates/0/column"]
    assert "1 to 48 of a-z" in found["/output/name"]
    again = fields_of(answer.text, "ask")
    assert {name: again[name] for name in changes} == changes
    assert "<script>" not in answer.text.replace('<script src="', "")
    assert "The first rows" in answer.text


def test_a_column_that_is_not_there_stands_beside_its_field(stack, page):
    answer = sent(stack, page, "look", **{"/where": "pri > 3"})
    found = errors_of(opened(stack, answer.headers["Location"]), "ask")
    assert list(found) == ["/where"]
    assert "price" in found["/where"]


def test_a_dry_run_that_fails_is_told_with_the_fields_that_cure_it(stack):
    page = looked_at(stack, **{"/source/uris": stack.write("new/marks.csv", "a,b;c\n1,2;3\n4,5;6\n")})
    assert 'role="alert"' in page
    assert "several delimiters" in page
    assert re.search(r"<details[^>]* open>\s*<summary>How the files are read", page)
    answer = sent(stack, page, "look", **{"/source/csv/delimiter": ";"})
    cured = opened(stack, answer.headers["Location"])
    assert "delimiter <code>;</code>" in cured
    assert "2;3" not in cured
    assert fields_of(cured, "ask")["/source/csv/delimiter"] == ";"


def test_texts_that_look_like_numbers_or_days_are_told_with_the_cure(stack):
    text = "price;day;city;code;cost\n1.234,5;31.1.2024;Köln;0123;$5\n2,75;1.12.2024;1,5;0042;$1,200.50\n"
    page = looked_at(stack, **{"/source/uris": stack.write("new/texts.csv", text)})
    assert "price looks like numbers with a comma" in page
    assert "day looks like days: type “date”, format “%d.%m.%Y”" in page
    assert "cost looks like numbers with a sign" in page
    assert "city looks" not in page
    assert "code looks" not in page
    changes = {"/source/csv/decimal": ",", "/source/csv/thousands": "."}
    cured = opened(stack, sent(stack, page, "look", **changes).headers["Location"])
    assert "price looks" not in cured
    assert "1234.5" in cured


def test_a_text_is_read_as_advised_by_one_button(stack):
    text = "price;day;cost;share\n1.234,5;31/1/2024;$5;5 %\nn/a;1/12/2024;-;12 %\n"
    page = looked_at(stack, **{"/source/uris": stack.write("new/advised.csv", text)})
    assert "price looks like numbers with a comma" in page
    for column in ("price", "day", "cost", "share"):
        assert f'value="cure:{column}"' in page
        page = opened(stack, sent(stack, page, f"cure:{column}").headers["Location"])
        assert f'value="cure:{column}"' not in page
    types = json.loads(fields_of(page, "ask")["json"])["source"]["types"]
    assert types == {
        "price": {"type": "float64", "decimal": ",", "thousands": ".", "null_values": ["n/a"]},
        "day": {"type": "date", "format": ["%d/%m/%Y"]},
        "cost": {"type": "float64", "strip": "$", "null_values": ["-"]},
        "share": {"type": "float64", "strip": "% "},
    }
    rows = re.findall(r"<tr>((?:<td[^>]*>.*?</td>)+)</tr>", page)
    shown = [re.sub(r"<[^>]+>", " ", row).split() for row in rows if "2024-" in row]
    assert shown == [["1234.5", "2024-01-31", "5.0", "5.0"], ["null", "2024-12-01", "null", "12.0"]]
    assert sent(stack, page, "cure:nothing").status_code == 303
    assert sent(stack, page, "cure:price", plan="").status_code == 303


@pytest.mark.parametrize("head", ["city;day", "größe;day"])
def test_text_of_another_encoding_is_read_by_one_button(stack, head):
    """As a dry run tells it that read the first line, and one that could not."""
    data = f"{head}\nKöln;1\nOslo;2\n".encode("windows-1252")
    page = looked_at(stack, **{"/source/uris": stack.write(f"new/{len(data)}-1252.csv", data)})
    [button] = re.findall('value="(set:[^"]+)"', page)
    page = opened(stack, sent(stack, page, button).headers["Location"])
    assert 'value="set:' not in page
    assert "<td>Köln</td>" in page
    assert f">{head.partition(';')[0]}<br>" in page


@pytest.mark.parametrize(
    ("first", "second"),
    [("KR,31/12/2025,5", "DE,30/1/2025,6"), ("a,1.5", "b,2.25"), ("a,2025-01-31", "b,2025-02-01")],
)
def test_a_first_line_that_is_data_is_read_as_data_by_one_button(stack, first, second):
    data = f"{first}\n{second}\n"
    page = looked_at(stack, **{"/source/uris": stack.write(f"new/headless-{len(data)}.csv", data)})
    [button] = re.findall('value="(set:[^"]+)"', page)
    assert button == "set:/source/csv/header=false"
    assert "<dd>1</dd>" in page
    page = opened(stack, sent(stack, page, button).headers["Location"])
    assert "<dd>2</dd>" in page
    assert 'value="set:' not in page


def test_text_with_the_byte_order_mark_of_another_encoding_is_not_said_to_be_of_windows(stack):
    data = "city;day\nKöln;1\n".encode("utf-16")
    page = looked_at(stack, **{"/source/uris": stack.write("new/marked-utf-16.csv", data)})
    assert "set csv.encoding to utf-16" in page
    assert 'value="set:' not in page


@pytest.mark.parametrize(
    "text", ["country,2024,2025,1/31/2025,1.5\nKR,1,2,3,x\n", "country,2023,2024\nKR,5%,6%\n"]
)
def test_years_and_days_may_be_names_of_columns(stack, text):
    page = looked_at(stack, **{"/source/uris": stack.write(f"new/wide-{len(text)}.csv", text)})
    assert 'value="set:' not in page
    assert sent(stack, page, "set:/nothing/of/the/form=5").status_code == 303


def test_rows_and_types_are_added_and_removed(stack, page):
    more = sent(stack, page, "add:aggregates").text
    assert {"/aggregates/0/fn", "/aggregates/1/fn"} <= fields_of(more, "ask").keys()
    filled = {"/aggregates/1/fn": "max", "/aggregates/1/column": "price"}
    less = sent(stack, more, "remove:/aggregates/0", **filled).text
    assert fields_of(less, "ask")["/aggregates/0/fn"] == "max"
    assert "/aggregates/1/fn" not in fields_of(less, "ask")

    typed = sent(stack, less, "type", new_type="price").text
    assert fields_of(typed, "ask")["/source/types/price/type"] == ""
    answer = sent(stack, typed, "look", **{"/source/types/price/type": "decimal(9,2)"})
    assert "decimal(9,2) (declared)" in opened(stack, answer.headers["Location"])
    gone = sent(stack, typed, "remove:/source/types/price").text
    assert "/source/types/price/type" not in fields_of(gone, "ask")


def test_a_clone_has_the_spec_of_its_job_with_all_that_has_no_field(stack):
    spec = {
        "source": {"uris": [stack.write("new/orders.csv", ORDERS)], "types": {"price": "decimal(9,2)"}},
        "derive": [{"expr": "price * 2", "as": "double"}],
        "group_by": ["country", {"time_bucket": "1q", "column": "ordered", "as": "quarter"}],
        "aggregates": [{"fn": "quantile", "column": "double", "q": [0.25, 0.75]}, {"fn": "count"}],
        "output": {"name": "new_clone", "indexes": [["-count"]]},
        "labels": {"team": "sales"},
    }
    job = stack.run(spec)
    assert job["state"] == "succeeded", job["error"]
    page = opened(stack, f"/new?from={job['id']}")
    assert fields_of(page, "ask")["/derive/0/expr"] == "price * 2"
    assert "<code>#/output/indexes</code>" in page
    assert json.loads(fields_of(page, "ask")["json"]) == spec
    clone = job_of(stack, sent(stack, page, "submit"))
    assert clone["id"] != job["id"]
    assert clone["spec"] == job["spec"]


def test_columns_are_computed_by_the_form(stack, page):
    asked = {
        "/derive/0/as": "cents",
        "/derive/0/expr": "cast(price * 100, 'int64')",
        "/group_by/0/column": "country",
        "/aggregates/0/fn": "sum",
        "/aggregates/0/column": "cents",
        "/aggregates/1/fn": "count",
        "/compute/0/as": "mean_cents",
        "/compute/0/expr": "sum_cents / count",
    }
    more = sent(stack, page, "add:derive", **asked).text
    assert fields_of(more, "ask")["/derive/1/expr"] == ""
    assert '<option value="cents"' in more
    job = job_of(stack, sent(stack, more, "submit"))
    assert job["state"] == "succeeded", job["error"]
    orders = pd.read_csv(pd.io.common.StringIO(ORDERS))
    cents = (orders.price * 100).groupby(orders.country)
    expected = {country: cents.sum()[country] / cents.size()[country] for country in cents.groups}
    found = {row["country"]: float(row["mean_cents"]) for row in stack.rows(job["id"])}
    assert found == pytest.approx(expected)
    wrong = sent(stack, more, "submit", **{"/compute/0/expr": "sum_cents /", "/derive/0/as": ""})
    assert set(errors_of(wrong.text, "ask")) == {"/compute/0/expr", "/derive/0/as"}


def test_a_problem_of_the_preview_leaves_the_form_and_is_told_above_it(stack, page):
    answer = stack.http.post(
        "/new/preview", data=fields_of(page, "ask") | {"kept": "["}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 400
    assert answer.headers["HX-Retarget"] == "#told"
    assert '<div id="told"></div>' in page
    assert answer.text.count('role="alert"') == 1


def test_a_json_that_was_changed_counts(stack, page):
    spec = json.loads(fields_of(page, "ask")["json"]) | {"derive": [{"expr": "price * 2", "as": "d"}]}
    text = json.dumps(spec | {"aggregates": [{"fn": "sum", "column": "d"}]})
    taken = sent(stack, page, "json", json=text).text
    assert fields_of(taken, "ask")["/aggregates/0/column"] == "d"
    job = job_of(stack, sent(stack, page, "submit", json=text))
    assert job["spec"]["derive"] == spec["derive"]


def test_changes_of_both_the_form_and_the_json_are_never_lost(stack, page):
    changes = {"json": fields_of(page, "ask")["json"].replace("count", "nunique"), "/labels": "a:b"}
    answer = sent(stack, page, "submit", **changes)
    assert answer.status_code == 422
    assert "were both changed" in answer.text
    again = fields_of(answer.text, "ask")
    assert again["/labels"] == "a:b"
    assert "nunique" in again["json"]
    dropped = fields_of(sent(stack, answer.text, "form").text, "ask")
    assert json.loads(dropped["json"])["labels"] == {"a": "b"}


@pytest.mark.parametrize("text", ["{", "[]", '{"source": NaN}', '{"source": "\\ud800"}', "[" * 5000, DEEP])
def test_a_json_that_cannot_be_taken_is_told(stack, page, text):
    answer = sent(stack, page, "json", json=text)
    assert answer.status_code == 422
    assert "the JSON of the spec" in answer.text
    assert fields_of(answer.text, "ask")["json"] == text


def test_no_file_is_told(stack):
    answer = sent(stack, opened(stack, "/new"), "look", "choose")
    assert answer.status_code == 422
    assert "Choose a file, or name at least one URI." in answer.text
    answer = stack.http.post("/new/upload", files={"csrf": (None, "")})
    assert answer.status_code == 400
    assert "none was chosen" in answer.text


def test_the_preview_follows_the_form(stack, page):
    changed = fields_of(page, "ask") | {"/where": "price > 3", "/output/name": "A"}
    answer = stack.http.post("/new/preview", data=changed)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    shown = fields_of(f'<form id="ask">{answer.text}</form>', "ask")
    assert json.loads(shown["json"])["where"] == "price > 3"
    assert "1 to 48 of a-z" in answer.text
    assert "from gristmill import Client" not in answer.text
    whole = stack.http.post("/new/preview", data=changed | {"/output/name": "new_preview"}).text
    assert "client.submit(" in whole
    assert "new_preview" in whole


def test_an_expired_or_unknown_dry_run_is_told(stack):
    assert stack.http.get("/new?plan=plan_01k0000000000000000000000a").status_code == 410
    assert stack.http.get("/new?plan=job_x").status_code == 404
    assert stack.http.get("/new?from=job_x").status_code == 404
    assert stack.http.get("/new?from=%00").status_code == 404
    assert stack.http.get("/new?plan=%00").status_code == 404


def test_a_form_with_odd_hidden_fields_is_no_bug_of_the_service(stack, page):
    assert sent(stack, page, "", plan="\0").status_code == 200
    assert sent(stack, page, "submit", key="a b\0").status_code == 422
    assert sent(stack, page, "", **{"/source/uris": "upload:\0"}).status_code == 200
    assert sent(stack, page, "", kept="[").status_code == 400
    answer = sent(stack, page, "", kept=DEEP)
    assert answer.status_code == 400
    assert "more than 50 arrays or objects within each other" in answer.text
    assert sent(stack, page, "remove:/nothing").status_code == 200


def test_a_form_with_too_many_fields_is_refused(stack):
    answer = stack.http.post("/new", data={f"/aggregates/{no}/fn": "sum" for no in range(20_001)})
    assert answer.status_code == 413
    assert "The form has 20,001 fields; at most 20,000 are accepted" in answer.text


def test_many_rows_and_many_columns_make_a_page_of_bounded_size(stack, page):
    columns = {"derive": [{"expr": "price", "as": f"d{no}"} for no in range(900)]}
    spec = json.loads(fields_of(page, "ask")["json"]) | columns
    spec["aggregates"] = [{"fn": "sum", "column": f"d{no}", "as": f"s{no}"} for no in range(400)]
    taken = sent(stack, page, "json", json=json.dumps(spec)).text
    assert taken.count("<option") < 20_000
    assert fields_of(taken, "ask")["/aggregates/399/column"] == "d399"
    assert '<datalist id="columns"><option>country</option>' in taken

    more = {f"/aggregates/{no}/fn": "count" for no in range(19_000)}
    answer = sent(stack, page, "add:aggregates", **more)
    assert answer.status_code == 200
    assert "<code>#/aggregates</code>" in answer.text
    assert "/aggregates/0/fn" not in fields_of(answer.text, "ask")
