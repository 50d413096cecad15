"""The pages of results in a browser: the chart is drawn, copying works, and nothing needs JavaScript."""

import pytest

from tests.support.browser import axe_in_each_look, until

pytestmark = pytest.mark.full

SCRIPT = "<script>alert(1)</script>"
COUNTRIES = ("KR", "DE", SCRIPT, "")
PIXELS = """
colour => {
  const [red, green, blue] = colour.match(/\\d+/g).map(Number);
  const canvas = document.querySelector("#lines canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    found += data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === 255;
  }
  return found;
}
"""


def publish(stack, name: str, *keys) -> None:
    lines = [
        f"{country},2024-{month:02}-01,{month * 10 + no}.50,{'x' * 100}"
        for no, country in enumerate(COUNTRIES)
        for month in range(1, 13)
    ]
    uri = stack.write("browser/sales.csv", "\n".join([f"country,day,price,{SCRIPT}", *lines, ""]))
    job = stack.run(
        {
            "source": {"uris": [uri], "types": {"price": "decimal(12,2)"}},
            "group_by": list(keys),
            "aggregates": [
                {"fn": "sum", "column": "price", "as": "revenue"},
                {"fn": "count", "as": "n"},
                {"fn": "max", "column": SCRIPT, "as": SCRIPT},
            ],
            "output": {"name": name},
        }
    )
    assert job["state"] == "succeeded", job["error"]


@pytest.fixture
def monthly(stack) -> str:
    publish(stack, "browser_monthly", "country", "day")
    return "/results/browser_monthly"


@pytest.fixture
def by_country(stack) -> str:
    publish(stack, "browser_by_country", "country")
    return "/results/browser_by_country"


def test_lines_are_drawn_in_the_colours_of_the_scheme(windows, monthly):
    page = windows.open(monthly)
    page.wait_for_selector("#lines canvas")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.querySelector('.legend .line-1')).color")
        until(page, f"colour => ({PIXELS})(colour) > 100", colour)
    assert page.locator(".legend li").count() == len(COUNTRIES)


def test_the_pointer_tells_the_values(windows, monthly):
    page = windows.open(monthly)
    page.locator("#lines .u-over").hover()
    until(page, "document.querySelector('.legend .at').textContent.includes(':')")


@pytest.mark.parametrize("rest", ["", "?version=1&country=KR", "/versions", "/delete", "?revenue__gte=x"])
def test_pages_of_a_result_are_accessible(windows, monthly, rest):
    page = windows.open(monthly + rest)
    axe_in_each_look(page)
    if rest.endswith("=x"):
        windows.allow("422")


def test_bars_and_the_list_are_accessible(windows, by_country):
    axe_in_each_look(windows.open(by_country))
    axe_in_each_look(windows.open("/results"))


@pytest.mark.parametrize("script", [True, False], ids=["JavaScript", "without JavaScript"])
def test_rows_sort_and_filter_without_javascript(windows, by_country, script):
    page = windows.open(by_country, java_script_enabled=script)
    page.get_by_label("Column").last.select_option("country")
    page.get_by_label("Operator").last.select_option("in")
    page.get_by_label("Value").last.fill(SCRIPT)
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Column").last.select_option("country")
    page.get_by_label("Operator").last.select_option("in")
    page.get_by_label("Value").last.fill("KR")
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Sort by revenue, descending").click()
    page.wait_for_url("**order_by=-revenue")
    rows = page.locator("table.rows tbody tr")
    assert [row.split("\t")[0] for row in rows.all_inner_texts()] == [SCRIPT, "KR"]


def test_a_long_text_opens(windows, by_country):
    page = windows.open(by_country)
    page.locator("table.rows summary").first.click()
    assert page.get_by_text("x" * 100, exact=True).first.is_visible()


def test_a_snippet_is_copied(windows, by_country):
    page = windows.open(by_country, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy SQL", exact=True).click()
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#snippet-psql").text_content()
