"""The form of a new job: a spec becomes fields and comes back the same, through a browser."""

import json
from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st

from api_service.dashboard.new_draft import of_fields, of_spec
from api_service.dashboard.short_spec import short
from api_service.dashboard.spec_form import SpecForm, own_fields, to_form, to_spec
from shared.spec.functions import FUNCTIONS
from shared.spec.models import JobSpec

NAMES = st.text("abz/~ _\"'<>é", min_size=1, max_size=6)
WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t"), min_size=1, max_size=8
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)


def through_browser(form: SpecForm) -> SpecForm:
    """A browser ends lines with CR and LF, and sends each field as text."""
    sent = {name: text.replace("\n", "\r\n") for name, text in form.fields.items()}
    fields = dict(parse_qsl(urlencode(sent, errors="surrogatepass"), keep_blank_values=True))
    return SpecForm(own_fields(fields), json.loads(json.dumps(form.kept)))


def same(one, other) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@st.composite
def keys(draw):
    column = draw(NAMES)
    if draw(st.booleans()):
        return column
    bucket = {"time_bucket": draw(st.sampled_from(["1d", "1w", "1mo", "1q", "1y", "15m"])), "column": column}
    return bucket | draw(st.fixed_dictionaries({}, optional={"tz": st.just("Asia/Seoul"), "as": NAMES}))


@st.composite
def aggregates(draw):
    function = draw(st.sampled_from(list(FUNCTIONS.values())))
    values = {
        "q": st.floats(0, 1) | st.lists(st.floats(0, 1), min_size=1, max_size=3),
        "k": st.integers(1, 1000),
        "ddof": st.integers(0, 9),
    }
    row = {"fn": function.name}
    for name, parameter in function.parameters.items():
        if parameter.required or draw(st.booleans()):
            row[name] = draw(values.get(name, NAMES))
    return row | draw(st.fixed_dictionaries({}, optional={"where": WORDS, "as": NAMES}))


MARKS = st.sampled_from([",", ";", "\t", "::", " ", "é"])
CSV = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": MARKS,
        "quote": st.none() | MARKS,
        "header": st.booleans(),
        "skip_rows": st.integers(0, 99),
        "null_values": st.lists(WORDS, min_size=1, max_size=3),
        "decimal": MARKS,
        "encoding": st.just("cp1252"),
    },
).filter(bool)
TYPE = st.sampled_from(["int64", "date"]) | st.fixed_dictionaries(
    {"type": st.just("float64"), "strip": WORDS},
    optional={"thousands": MARKS, "format": st.lists(WORDS, min_size=1)},
)
MADE = st.lists(
    st.fixed_dictionaries({"as": NAMES, "expr": st.text("a >1\n", min_size=1, max_size=9)}),
    min_size=1,
    max_size=3,
)
EXPRESSIBLE = st.fixed_dictionaries(
    {
        "source": st.fixed_dictionaries(
            {"uris": st.lists(WORDS, min_size=1, max_size=3)},
            optional={"csv": CSV, "types": st.dictionaries(NAMES, TYPE, min_size=1, max_size=3)},
        ),
        "group_by": st.lists(keys(), max_size=3),
    },
    optional={
        "aggregates": st.lists(aggregates(), min_size=1, max_size=3),
        "derive": MADE,
        "compute": MADE,
        "where": st.text("a >1\n", min_size=1, max_size=9),
        "output": st.fixed_dictionaries({"name": WORDS}, optional={"versions": st.integers(1, 100)}),
        "options": st.fixed_dictionaries(
            {"on_bad_row": st.just("skip")}, optional={"max_bad_rows": st.integers(0, 9)}
        ),
        "labels": st.dictionaries(st.text("abc.-", min_size=1), st.text("xyz:1", min_size=1), min_size=1),
    },
)


@given(EXPRESSIBLE)
def test_a_spec_that_the_form_can_express_is_all_in_fields_and_comes_back(spec):
    form = to_form(spec)
    assert form.kept == {}
    assert same(to_spec(through_browser(form)), spec)


@given(EXPRESSIBLE, st.dictionaries(st.sampled_from([*JobSpec.model_fields, "more"]), JSON, max_size=4), JSON)
def test_any_other_object_comes_back_too(spec, strange, inner):
    """What is no spec, or has no fields, is kept; group_by alone is filled in."""
    spec = spec | strange
    if isinstance(spec["source"], dict):
        spec["source"] = spec["source"] | {"more": inner, "csv": inner}
    expected = {"group_by": []} | spec
    assert same(to_spec(through_browser(to_form(spec))), expected)


@given(EXPRESSIBLE)
def test_a_page_that_is_sent_back_as_it_is_has_no_changes(spec):
    draft = of_spec(spec | {"limits": {"max_groups": 5}})
    form = {
        "kept": json.dumps(draft.form.kept),
        "json": draft.text.replace("\n", "\r\n"),
        "shown": draft.shown,
    }
    again = of_fields(through_browser(draft.form).fields | form)
    assert not again.edited
    assert same(again.spec, draft.spec)


@given(JSON)
def test_only_defaults_are_left_out_of_a_spec(value):
    """What `short` leaves out is filled in by the model: see also tests/unit/api/test_short_spec.py."""
    strange = {"source": {"uris": ["x"], "csv": {"delimiter": value}}, "unknown": value}
    found = short(strange)
    assert same(found.get("unknown"), value)
    assert same(found["source"].get("csv", {}).get("delimiter", "auto"), value)
