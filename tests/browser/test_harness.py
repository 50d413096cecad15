"""The watch over pages sees what it is there to see."""

import pytest

from tests.support.browser import axe

pytestmark = pytest.mark.full

INLINE = "document.head.append(Object.assign(document.createElement('{}'), {{textContent: '{}'}}))"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (INLINE.format("style", "p {}"), "Content Security Policy"),
        (INLINE.format("script", "1"), "Content Security Policy"),
        ("setTimeout(() => { throw new Error('odd'); })", "odd"),
        ("console.error('bad')", "bad"),
    ],
)
def test_a_page_that_complains_fails_its_test(windows, act, said):
    page = windows.open("/")
    page.evaluate(act)
    page.wait_for_timeout(100)
    windows.allow(said)
    assert windows.complaints == []


def test_axe_finds_an_input_without_a_label(windows):
    page = windows.open("/jobs")
    page.evaluate("document.querySelector('main').append(document.createElement('input'))")
    with pytest.raises(AssertionError, match="label"):
        axe(page)
