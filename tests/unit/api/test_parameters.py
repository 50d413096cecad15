"""Query parameters: the message of each shows what was given, and what fits."""

import pytest
from multidict import MultiDict

from api_service.wire import parameters
from api_service.wire.filters import job_filter
from shared.errors import InvalidCursor, InvalidParameter


@pytest.mark.parametrize(
    ("read", "query", "told"),
    [
        (parameters.list_limit, "limit=1.5", 'limit: expected a whole number from 1 to 1000, not "1.5"'),
        (job_filter, "state=done", 'cancelled, not "done"'),
        (job_filter, "label=a", 'label: expected key:value, not "a"'),
        (job_filter, "name=A b", 'not "A b"'),
        (job_filter, "created_after=soon", 'not "soon"'),
        (parameters.filename, "filename=a\nb", r'not "a\nb"'),
    ],
)
def test_a_value_that_does_not_fit_is_shown(read, query, told):
    name, _, value = query.partition("=")
    with pytest.raises(InvalidParameter) as caught:
        read(MultiDict({name: value}))
    assert told in caught.value.detail
    assert caught.value.errors[0]["parameter"] == name


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (parameters.JOB, "job_" + "0" * 26, "upl_" + "0" * 26),
        (parameters.UPLOAD, "upl_" + "0" * 26, "upl_"),
        (parameters.KEY, "key_" + "a" * 26, ""),
        (parameters.WORKER, "wrk_1", "wrk 1"),
        (parameters.VERSION, "12", "0"),
        (parameters.RESULT, "sales", "Sales"),
    ],
)
def test_a_cursor_has_the_form_of_what_is_listed(form, good, bad):
    assert parameters.after(MultiDict(after=good), form) == good
    assert parameters.after(MultiDict(), form) is None
    with pytest.raises(InvalidCursor, match=f'not "{bad}"'):
        parameters.after(MultiDict(after=bad), form)
