import json

import pytest

from shared.errors import InvalidSpec, MalformedJson
from shared.spec.names import RESERVED
from shared.spec.parse import KEYS, parse_spec


def test_only_source_group_by_and_aggregates_are_required(accept, reject, body):
    accept(body())
    assert set(reject({})) == {"#/source", "#/group_by", "#/aggregates"}


def test_every_default_is_the_documented_one(accept):
    spec = accept(
        {"source": {"uris": ["upload:u"]}, "group_by": [], "aggregates": [{"fn": "std", "column": "x"}]}
    )
    assert (spec.semantics, spec.derive, spec.where, spec.compute, spec.having, spec.labels) == (
        "sql",
        (),
        None,
        (),
        None,
        {},
    )
    source, csv, output, options, limits = (
        spec.source,
        spec.source.csv,
        spec.output,
        spec.options,
        spec.limits,
    )
    assert (source.format, source.compression, source.types, source.timezone) == ("auto", "auto", {}, "UTC")
    assert (csv.delimiter, csv.quote, csv.escape, csv.header) == ("auto", '"', None, True)
    assert (csv.names, csv.encoding, csv.null_values, csv.comment) == (None, "utf-8", (), None)
    assert (output.name, output.indexes, output.versions, output.expires, output.on_schema_change) == (
        None,
        (),
        3,
        None,
        "fail",
    )
    assert (options.priority, options.on_bad_row, options.max_bad_rows) == (5, "fail", None)
    assert (options.chunk_bytes, options.max_parallel_chunks, options.deadline) == (None, None, None)
    assert (limits.max_groups, limits.max_bytes, limits.max_chunks, limits.max_state_bytes) == (
        5_000_000,
        None,
        100_000,
        8_589_934_592,
    )
    assert spec.aggregates[0].ddof == 1


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{",
        b"{}x",
        b"'a'",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b'{"\\ud800": 1}',
        b"[" * 5000,
        b"9" * 5000,
    ],
)
def test_a_body_that_is_not_json_is_malformed(broken):
    with pytest.raises(MalformedJson):
        parse_spec(broken)


def test_a_key_that_stands_twice_is_malformed_at_any_depth():
    with pytest.raises(MalformedJson, match='"format" stands more than once'):
        parse_spec(b'{"source": {"format": "csv", "uris": [], "format": "parquet"}}')


@pytest.mark.parametrize("whole", [[], "spec", 5, None, True])
def test_a_spec_that_is_not_an_object_is_wrong_as_a_whole(reject, whole):
    assert list(reject(whole)) == ["#"]


def test_all_mistakes_are_reported_at_once_each_at_its_own_place(reject):
    wrong = {
        "sauce": 1,
        "source": {
            "uris": ["x"],
            "csv": {"delimiter": "|||||"},
            "types": {"a/b~c": "int"},
            "timezone": "Mars/Olympus",
        },
        "group_by": ["ctid", {"time_bucket": "2w", "column": 5}],
        "aggregates": [
            {"fn": "avg"},
            {"fn": "sum"},
            {"fn": "sum", "column": "x", "q": [0.5, "z"]},
            {"fn": "count", "ddof": 1},
        ],
        "output": {"name": '"; DROP', "indexes": [[]], "expires": "soon"},
        "options": {"priority": 10, "chunk_bytes": 0, "deadline": "5 minutes"},
        "limits": {"max_groups": 1.5},
        "labels": {"team": 7, "no spaces": "x"},
    }
    assert list(reject(wrong)) == [
        "#/source/uris/0",
        "#/source/csv/delimiter",
        "#/source/types/a~1b~0c",
        "#/source/timezone",
        "#/group_by/0",
        "#/group_by/1/time_bucket",
        "#/group_by/1/column",
        "#/aggregates/0/fn",
        "#/aggregates/1/column",
        "#/aggregates/2/q/1",
        "#/aggregates/3/ddof",
        "#/output/name",
        "#/output/indexes/0",
        "#/output/expires",
        "#/options/priority",
        "#/options/chunk_bytes",
        "#/options/deadline",
        "#/limits/max_groups",
        "#/labels/team",
        "#/labels/no spaces",
        "#/sauce",
    ]


@pytest.mark.parametrize("at", KEYS)
def test_an_unknown_key_is_an_error_in_every_object_of_the_spec(reject, body, at):
    spec = body(
        derive=[{}],
        compute=[{}],
        group_by=[{"column": "ts", "time_bucket": "1h"}],
        output={},
        options={},
        limits={},
    )
    found, pointer = spec, "#"
    for key in at:
        found, pointer = found.setdefault(key, {}), f"{pointer}/{key}"
        if isinstance(found, list):
            found, pointer = found[0], f"{pointer}/0"
    found["zzzzz"] = "secret"
    problems = reject(spec)
    assert "unknown key" in problems[f"{pointer}/zzzzz"]
    assert "secret" not in json.dumps(problems)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("groupby", '"group_by"'),
        ("agg", '"aggregates"'),
        ("GROUP_BY", '"group_by"'),
        ("filter", '"where"'),
        ("limts", '"limits"'),
        ("post_filter", '"having"'),
        ("with_columns", '"derive"'),
        ("order_by", "sorted where it is read"),
        ("Sort", "sorted where it is read"),
        ("limit", "limited where it is read"),
        ("select", "columns of group_by, aggregates and compute"),
        ("columns", "columns of group_by, aggregates and compute"),
        ("distinct", "with the aggregate count"),
    ],
)
def test_a_misspelt_key_gets_a_guess(reject, body, key, hint):
    assert hint in reject(body(**{key: 1}))[f"#/{key}"]


def test_every_mistake_in_an_expression_is_reported_at_submit(reject, body):
    problems = reject(
        body(
            derive=[{"as": "late", "expr": "soon + 1"}, {"as": "soon", "expr": "delay"}],
            where="carrier = 'AA'",
            aggregates=[{"fn": "count", "where": "avg(delay) > 3"}],
            compute=[
                {"as": "half", "expr": "cuont / 2"},
                {"as": "twice", "expr": "half * 2"},
                {"as": "early", "expr": "later"},
                {"as": "later", "expr": "count + carrier"},
            ],
        )
    )
    assert problems == {
        "#/derive/0/expr": 'column 1: "soon" is made by derive/1; move that entry before this one',
        "#/where": 'column 9: "=" is no operator; did you mean ==?',
        "#/aggregates/0/where": problems["#/aggregates/0/where"],
    }
    assert problems["#/aggregates/0/where"].startswith('column 1: unknown function "avg"')


def test_compute_and_having_name_columns_of_the_result(reject, body):
    compute = [
        {"as": "half", "expr": "cuont / 2"},
        {"as": "twice", "expr": "half * 2"},
        {"as": "early", "expr": "count + later"},
        {"as": "later", "expr": "`count` + 1"},
    ]
    problems = reject(body(compute=compute))
    there_are = 'there are "carrier", "count", "mean_delay"'
    assert problems == {
        "#/compute/0/expr": (
            f'column 1: "cuont" is not a column of the result; did you mean "count"? {there_are}'
        ),
        "#/compute/2/expr": (
            f'column 9: "later" is not a column of the result; {there_are}, "half", "twice"'
        ),
    }
    assert list(reject(body(having="delay > 3"))) == ["#/having"]
    assert list(reject(body(compute=[{"as": "count", "expr": "1"}]))) == ["#/compute/0/as"]
    assert list(reject(body(derive=[{"as": "a", "expr": "1"}, {"as": "a", "expr": "2"}]))) == [
        "#/derive/1/as"
    ]


def test_a_key_in_the_wrong_object_is_told_where_it_belongs(reject, body):
    problems = reject(body(source={"uris": ["upload:u"], "delimiter": ";"}, chunk_bytes=5))
    assert problems["#/source/delimiter"].endswith("it belongs in #/source/csv, which is for csv and tsv")
    assert problems["#/chunk_bytes"].endswith("it belongs in #/options")


def test_no_error_repeats_the_input(reject, body):
    secret = "hunter2" * 30
    problems = reject(
        body(
            source={
                "uris": [f"ftp//{secret}"],
                "format": secret,
                "timezone": secret,
                "csv": {"quote": secret, "encoding": secret},
            },
            group_by=[{"time_bucket": secret, "column": [secret]}, {"x": secret}],
            aggregates=[{"fn": secret}, {"fn": "sum", "column": {"a": secret}}],
            where=[secret],
            labels={"a": [secret]},
            **{secret: secret},
        )
    )
    assert len(problems) == 15
    assert secret not in json.dumps(problems)


def test_a_body_with_countless_mistakes_gets_a_short_answer():
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(json.dumps({f"key_{i}": i for i in range(20_000)}).encode())
    assert len(caught.value.errors) == 100


@pytest.mark.parametrize("value", ["5", 5.0, True, None])
def test_only_an_integer_is_an_integer(reject, body, value):
    assert set(reject(body(options={"priority": value}))) == {"#/options/priority"}


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_only_true_and_false_are_flags(reject, body, value):
    assert set(reject(body(source={"uris": ["upload:u"], "csv": {"header": value}}))) == {
        "#/source/csv/header"
    }


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_name_that_every_result_table_has_is_refused_for_keys_and_aggregates(reject, body, name):
    problems = reject(body(group_by=[name], aggregates=[{"fn": "count", "as": name}]))
    assert set(problems) == {"#/group_by/0", "#/aggregates/0/as"}


def test_a_result_column_has_at_most_63_bytes_however_it_came_by_its_name(accept, reject, body):
    accept(body(group_by=["가" * 21], aggregates=[{"fn": "count", "as": "a" * 63}]))
    long = [
        {"fn": "count", "as": "a" * 64},
        {"fn": "sum", "column": "b" * 60},
        {"fn": "count", "as": "a\0"},
        {"fn": "count", "as": ""},
    ]
    problems = reject(body(group_by=["가" * 22], aggregates=long))
    assert set(problems) == {"#/group_by/0", *(f"#/aggregates/{i}/as" for i in range(4))}


def test_two_result_columns_may_not_share_a_name(reject, body):
    twice = [
        {"fn": "count"},
        {"fn": "count", "column": "x", "as": "count"},
        {"fn": "sum", "column": "x", "as": "carrier"},
    ]
    problems = reject(body(group_by=["carrier", "carrier"], aggregates=twice))
    assert set(problems) == {"#/group_by/1", "#/aggregates/1/as"}
    assert set(reject(body(aggregates=twice))) == {"#/aggregates/1/as", "#/aggregates/2/as"}


def test_result_names_are_compared_even_if_something_else_is_wrong(reject, body):
    twice = [{"fn": "count"}, {"fn": "count"}]
    assert set(reject(body(source={}, aggregates=twice, nonsense=1))) == {
        "#/source/uris",
        "#/aggregates/1/as",
        "#/nonsense",
    }


def test_there_are_zero_to_32_group_keys_and_at_least_one_aggregate(accept, reject, body):
    accept(body(group_by=[]))
    accept(body(group_by=[f"k{i}" for i in range(32)]))
    assert set(reject(body(group_by=[f"k{i}" for i in range(33)], aggregates=[]))) == {
        "#/group_by",
        "#/aggregates",
    }


def test_indexes_name_columns_of_the_result(accept, reject, body):
    accept(body(output={"indexes": [["carrier", "-mean_delay"], ["-count"]]}))
    problems = reject(body(output={"indexes": [["carier"], ["count", "-count"], ["delay"]]}))
    assert set(problems) == {"#/output/indexes/0/0", "#/output/indexes/1/1", "#/output/indexes/2/0"}
    assert 'did you mean "carrier"?' in problems["#/output/indexes/0/0"]


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "_a", "a-b", "a" * 49, "a\n", 'x"; DROP SCHEMA results; --', "é"]
)
def test_a_result_name_is_a_plain_identifier(reject, body, name):
    assert set(reject(body(output={"name": name}))) == {"#/output/name"}


def test_csv_characters_are_single_and_differ(reject, body):
    for delimiter in ("", ",,,,,", "§", "a\n", "\n", "\r", "\0", '"', 5):
        assert set(reject(body(source={"uris": ["upload:u"], "csv": {"delimiter": delimiter}}))) == {
            "#/source/csv/delimiter"
        }
    for changes, pointers in (
        ({"escape": '"'}, {"escape"}),
        ({"delimiter": ",", "comment": ","}, {"comment"}),
        ({"quote": ",", "delimiter": ","}, {"delimiter"}),
        ({"quote": None, "escape": "#", "comment": "#"}, {"comment"}),
        ({"delimiter": "\\", "escape": "\\", "comment": "\\"}, {"escape", "comment"}),
        ({"escape": "\n"}, {"escape"}),
        ({"comment": "\r"}, {"comment"}),
    ):
        assert set(reject(body(source={"uris": ["upload:u"], "csv": changes}))) == {
            f"#/source/csv/{name}" for name in pointers
        }


def test_an_encoding_has_one_name_and_an_unknown_one_is_told_which_there_are(accept, reject, body):
    def encoding(name):
        return body(source={"uris": ["upload:u"], "csv": {"encoding": name}})

    names = {
        "UTF8": "utf-8",
        "utf-8-sig": "utf-8",
        "latin-1": "iso8859-1",
        "windows-1252": "cp1252",
        "EUC-KR": "euc_kr",
        "UTF-16LE": "utf-16-le",
    }
    assert {name: accept(encoding(name)).source.csv.encoding for name in names} == names
    for name in ("utf-7", "rot13", "klingon", "", "idna", "cp037"):
        problems = reject(encoding(name))
        assert "utf-8, iso8859-1, " in problems["#/source/csv/encoding"]
        assert problems["#/source/csv/encoding"].endswith("utf-16, utf-16-le, utf-16-be")


def test_a_special_character_may_not_be_a_part_of_another_one(accept, reject, body):
    def csv(**options):
        return body(source={"uris": ["upload:u"], "csv": options})

    assert set(reject(csv(encoding="gbk", delimiter="|", escape="\\"))) == {
        "#/source/csv/delimiter",
        "#/source/csv/escape",
    }
    assert (
        "convert the files to UTF-8" in reject(csv(encoding="gb18030", comment="0"))["#/source/csv/comment"]
    )
    accept(csv(encoding="euc-kr", delimiter="|", escape="\\"))
    accept(csv(encoding="cp949", delimiter="|", escape="\\", comment="#"))
    accept(csv(encoding="utf-16", delimiter="|", escape="\\"))


def test_csv_names_are_distinct_and_for_files_without_a_header(accept, reject, body):
    def source(**csv):
        return {"uris": ["upload:u"], "csv": csv}

    assert accept(body(source=source(header=False, names=["a", "b"]))).source.csv.names == ("a", "b")
    assert set(reject(body(source=source(header=False, names=["a", "b", "a"])))) == {"#/source/csv/names/2"}
    assert set(reject(body(source=source(names=["a"])))) == {"#/source/csv/names"}
    assert set(reject(body(source=source(header=False, names=[])))) == {"#/source/csv/names"}


def test_options_of_another_format_are_refused_rather_than_ignored(accept, reject, body):
    accept(body(source={"uris": ["upload:u"], "format": "parquet", "csv": {"delimiter": ","}}))
    source = {"uris": ["upload:u"], "format": "parquet", "csv": {"delimiter": ";", "trim": True}}
    told = "and source.format is parquet: leave it out"
    assert reject(body(source={**source, "xlsx": {"sheet": 2}})) == {
        f"#/source/{name}/{key}": f"source.{name}.{key} is for {formats}, {told}"
        for name, key, formats in [
            ("csv", "delimiter", "csv and tsv"),
            ("csv", "trim", "csv and tsv"),
            ("xlsx", "sheet", "xlsx"),
        ]
    }


def test_labels_are_few_and_small(reject, body):
    assert set(reject(body(labels={str(i): "" for i in range(33)}))) == {"#/labels"}
    assert set(reject(body(labels={"a" * 64: "x", "b": "x" * 257, "c": "\0", "d:e": ""}))) == {
        "#/labels/" + "a" * 64,
        "#/labels/b",
        "#/labels/c",
        "#/labels/d:e",
    }


def test_types_are_kept_in_one_spelling(accept, body):
    source = {"uris": ["upload:u"], "types": {"a": "decimal(18, 2)", "b": "timestamptz"}}
    assert accept(body(source=source)).source.types == {"a": "decimal(18,2)", "b": "timestamptz"}
