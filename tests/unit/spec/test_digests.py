import json
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.spec.digests import canonical_json, spec_digest
from shared.spec.functions import FUNCTIONS
from shared.spec.models import JobSpec

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
duration = st.builds("{}{}".format, st.integers(1, 365), st.sampled_from("smhd"))
size = st.none() | st.integers(1, 2**63 - 1)
type_name = st.sampled_from(
    [
        "bool",
        "int64",
        "float64",
        "string",
        "date",
        "timestamp",
        "timestamptz",
        "decimal(18, 2)",
        "decimal(5,5)",
    ]
)
arguments: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["column", "by", "y", "x"], text),
    "q": st.floats(0, 1).map(lambda q: round(q, 15))
    | st.lists(st.integers(0, 1000), min_size=1, max_size=3, unique=True).map(
        lambda qs: [q / 1000 for q in qs]
    ),
    "k": st.integers(1, 1000),
    "ddof": st.integers(0, 5),
}


condition = st.sampled_from(["a > 1", "b == 'x' and not c", "`odd name` in (1, 2)"])
width = st.sampled_from(["15m", "1h", "6h", "1d", "1w", "1mo", "1q", "1y"])


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


@st.composite
def aggregate(draw: st.DrawFn, number: int) -> dict[str, Any]:
    function = FUNCTIONS[draw(st.sampled_from(sorted(FUNCTIONS)))]
    filled = {
        name: draw(arguments[name])
        for name, p in function.parameters.items()
        if p.required or draw(st.booleans())
    }
    return {"fn": function.name, **filled, "as": f"a{number}", **draw(some(where=condition))}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    csv = some(
        delimiter=st.sampled_from(["auto", ",", ";", "\t", "|"]),
        quote=st.sampled_from("\"'"),
        escape=st.none() | st.just("\\"),
        encoding=st.sampled_from(["utf-8", "UTF8", "latin-1", "cp949"]),
        null_values=st.lists(text, max_size=3),
    )
    source = some(
        format=st.sampled_from(["auto", "csv"]),
        compression=st.sampled_from(["auto", "none", "gzip", "zstd"]),
        csv=csv,
        types=st.dictionaries(text, type_name, max_size=3),
        timezone=st.sampled_from(["UTC", "Asia/Seoul"]),
    )
    keys = draw(st.lists(st.text("xyz", min_size=1, max_size=4), unique=True, max_size=4))
    bucket = (
        [{"time_bucket": draw(width), "column": draw(text), "as": "bucket"}] if draw(st.booleans()) else []
    )
    computed = some(derive=st.just([{"as": "d", "expr": "1"}]), compute=st.just([{"as": "c", "expr": "1"}]))
    rest = some(
        where=st.none() | condition,
        having=st.none() | st.just("1 < 2"),
        semantics=st.sampled_from(["sql", "pandas"]),
        output=some(
            name=st.none() | st.just("r"),
            versions=st.integers(1, 9),
            expires=st.none() | duration,
            indexes=st.just([[f"-{key}"] for key in keys]),
        ),
        options=some(
            priority=st.integers(0, 9),
            on_bad_row=st.sampled_from(["fail", "skip"]),
            chunk_bytes=size,
            deadline=st.none() | duration,
        ),
        limits=some(max_groups=st.integers(1, 10**9), max_bytes=size),
        labels=st.dictionaries(st.text("ab.-_", min_size=1, max_size=5), text, max_size=3),
    )
    aggregates = [draw(aggregate(number)) for number in range(draw(st.integers(1, 4)))]
    return {
        "source": {"uris": ["upload:u"], **draw(source)},
        "group_by": keys + bucket,
        "aggregates": aggregates,
        **draw(computed),
        **draw(rest),
    }


def read(body: Any) -> JobSpec:
    return JobSpec.model_validate_json(json.dumps(body))


def digest_of(spec: JobSpec) -> str:
    return spec_digest(canonical_json(spec))


def backwards(value: Any) -> Any:
    """The same JSON with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(bodies())
def test_the_canonical_json_reads_back_to_an_equal_spec(body):
    spec = read(body)
    again = JobSpec.model_validate_json(canonical_json(spec))
    assert again == spec
    assert canonical_json(again) == canonical_json(spec)


@given(bodies())
def test_the_digest_does_not_depend_on_the_order_of_keys_or_on_spacing(body):
    assert digest_of(JobSpec.model_validate_json(json.dumps(backwards(body), indent=3))) == digest_of(
        read(body)
    )


@given(bodies(), st.data())
def test_the_digest_does_not_depend_on_which_defaults_are_written_out(body, data):
    spec = read(body)
    filled = json.loads(canonical_json(spec))
    chosen = data.draw(st.sets(st.sampled_from(sorted(filled))))
    assert digest_of(read(body | {key: filled[key] for key in chosen})) == digest_of(spec)


@given(bodies(), bodies())
def test_specs_have_the_same_digest_exactly_when_they_are_equal(one, other):
    assert (digest_of(read(one)) == digest_of(read(other))) == (read(one) == read(other))


@given(bodies())
def test_the_canonical_json_is_sorted_and_has_no_spaces(body):
    canonical = canonical_json(read(body))
    assert canonical == json.dumps(
        json.loads(canonical), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def test_the_canonical_json_leaves_out_parameters_that_a_function_does_not_have(body):
    canonical = json.loads(
        canonical_json(read(body(aggregates=[{"fn": "count"}, {"fn": "std", "column": "a"}])))
    )
    assert canonical["aggregates"] == [
        {"fn": "count", "as": "count"},
        {"fn": "std", "column": "a", "ddof": 1, "as": "std_a"},
    ]


def test_a_default_name_written_out_is_the_same_spec(body):
    plain, named = (
        [{"fn": "sum", "column": "a"}],
        [{"as": "sum_a", "where": None, "fn": "sum", "column": "a"}],
    )
    assert digest_of(read(body(aggregates=plain))) == digest_of(read(body(aggregates=named)))


def test_a_negative_zero_is_a_zero(body):
    zero, negative = ([{"fn": "quantile", "column": "a", "q": q}] for q in (0, -0.0))
    assert digest_of(read(body(aggregates=zero))) == digest_of(read(body(aggregates=negative)))


def test_the_digest_is_the_sha256_of_the_canonical_json(body):
    spec = read(body(labels={"team": "성장"}))
    assert digest_of(spec) == f"sha256:{sha256(canonical_json(spec).encode()).hexdigest()}"
    assert "성장" in canonical_json(spec)
