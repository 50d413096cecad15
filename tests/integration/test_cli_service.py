"""The command line at a service: its outputs, exit codes and messages."""

import csv
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import typer

from gristmill.cli.faults import told
from tests.support.command import Command, Within
from tests.support.databases import own_database
from tests.support.launched import any_port
from tests.support.stack import running

ORDERS = Path(__file__).parents[2] / "examples" / "data" / "orders.csv"
DATA = "city,amount\nSeoul,10\nBusan,5\nSeoul,2.5\n,1\n"
QUESTION = ("--by", "city", "--agg", "n=count", "--agg", "total=sum:amount")


@pytest.fixture
def gristmill(stack, tmp_path):
    (tmp_path / "sales.csv").write_text(DATA)
    return Within(tmp_path, GRISTMILL_URL=f"http://127.0.0.1:{stack.port}")


@pytest.fixture(scope="module")
def idle(postgres, redis_server, tmp_path_factory):
    """A gateway without a worker: its jobs stay queued."""
    redis = redis_server.rpartition("/")[0] + "/2"
    folder = tmp_path_factory.mktemp("idle")
    with own_database(postgres, "cli_idle") as dsn, running(dsn, redis, folder, workers=0) as stack:
        yield stack


@pytest.fixture
def waiting(idle, tmp_path):
    """The command line at a gateway without a worker."""
    (tmp_path / "sales.csv").write_text(DATA)
    return Within(tmp_path, GRISTMILL_URL=f"http://127.0.0.1:{idle.port}")


def published(gristmill, name="cli_sales") -> str:
    """The id of a job whose result is published."""
    ran = gristmill.run("submit", "sales.csv", *QUESTION, "--name", name, "--wait", "-q")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_data_is_on_standard_output_and_talk_on_standard_error(gristmill):
    ran = Command.run(gristmill, "aggregate", "sales.csv", *QUESTION)

    assert ran.returncode == 0
    assert ran.stdout == "city   n  total\nBusan  1      5\nSeoul  2   12.5\n       1      1\n"
    assert "4 rows, 3 groups" in ran.stderr
    assert gristmill.run("aggregate", "sales.csv", *QUESTION, "-q").stderr == ""


def test_every_output_has_the_same_rows(gristmill, tmp_path):
    published(gristmill)
    said = {
        shape: gristmill.run("rows", "cli_sales", "--order-by", "-total", "-o", shape).stdout
        for shape in ("csv", "ndjson", "json")
    }
    for name in ("rows.parquet", "rows.csv"):
        assert gristmill.run("download", "cli_sales", name, "--order-by", "-total").returncode == 0

    expected = [("Seoul", 2, 12.5), ("Busan", 1, 5.0), (None, 1, 1.0)]
    assert [(row["city"], row["n"], row["total"]) for row in json.loads(said["json"])] == expected
    assert [json.loads(line) for line in said["ndjson"].splitlines()] == json.loads(said["json"])
    assert [
        (row["city"] or None, int(row["n"]), float(row["total"]))
        for row in csv.DictReader(io.StringIO(said["csv"]))
    ] == expected
    assert (tmp_path / "rows.csv").read_bytes().decode() == said["csv"].replace("\n", "\r\n")
    assert duckdb.sql(f"SELECT * FROM '{tmp_path}/rows.parquet'").fetchall() == expected


def test_quiet_leaves_out_every_remark(gristmill):
    ran = gristmill.run("aggregate", "sales.csv", *QUESTION, "--limit", 1, "-q")

    assert (len(ran.stdout.splitlines()), ran.stderr) == (2, "")


@pytest.mark.parametrize("data", ['a,b\n1,x\n2,"open\n3,y\n', 'a,b\n1,"x"y\n'])
def test_a_record_without_an_end_is_told_a_cure_that_works(gristmill, tmp_path, data):
    (tmp_path / "cut.csv").write_text(data)
    question = ("aggregate", "cut.csv", "--agg", "n=count", "--by", "b")

    ran = gristmill.run(*question)
    assert ran.returncode == 1
    assert "--on-bad-row quarantine" not in ran.stderr
    cure = re.search(r"--set csv.quote=null", ran.stderr)[0]
    assert gristmill.run(*question, *cure.split()).returncode == 0


def test_a_file_name_that_is_no_text_is_read(gristmill, tmp_path):
    name = os.fsdecode(b"odd\xff.csv")
    (tmp_path / name).write_text(DATA)

    ran = gristmill.run("aggregate", name, *QUESTION, "-q", "-o", "csv")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 4


def test_rows_are_filtered_ordered_selected_and_limited(gristmill):
    published(gristmill)

    ran = gristmill.run(
        "rows",
        "cli_sales",
        "--filter",
        "total__gte=5",
        "--order-by",
        "total",
        "--select",
        "city,total",
        "--limit",
        1,
    )
    assert ran.stdout == "city   total\nBusan      5\n"
    assert "--limit 0" in ran.stderr

    both = gristmill.run("rows", "cli_sales", "--filter", "city=Seoul", "--filter", "city=Busan", "-o", "csv")
    assert len(both.stdout.splitlines()) == 3


def test_a_job_is_listed_shown_and_changed(gristmill):
    job = published(gristmill)

    (listed,) = [one for one in json.loads(gristmill.run("jobs", "-o", "json").stdout) if one["id"] == job]
    assert listed["state"] == "succeeded"
    assert job in gristmill.run("jobs", "ls", "--name", "cli_sales", "--state", "succeeded").stdout
    assert json.loads(gristmill.run("jobs", "show", job, "-o", "json").stdout)["id"] == job
    shown = gristmill.run("jobs", "watch", job, "-q")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert re.search(r"^rows +4 read$", shown.stdout, re.MULTILINE), shown.stdout
    assert re.search(r"^rows aggregated +4$", gristmill.run("jobs", "receipt", job).stdout, re.MULTILINE)

    cancelled = gristmill.run("jobs", "cancel", job)
    assert (cancelled.returncode, cancelled.stdout) == (1, "")
    assert "already_done" in cancelled.stderr


def test_a_job_is_paused_resumed_cancelled_and_brought_back(waiting):
    job = waiting.run("submit", "sales.csv", *QUESTION, "-q").stdout.strip()
    for change, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert waiting.run("jobs", change, job).stdout == f"{job} {state}\n"

    watched = waiting.run("jobs", "watch", job, "-q")
    assert watched.returncode == 1
    assert re.search("^state +cancelled$", watched.stdout, re.MULTILINE)
    lost = waiting.run("rows", job)
    assert (lost.returncode, lost.stdout) == (1, "")
    assert f"`gristmill jobs retry {job}`" in lost.stderr

    assert waiting.run("jobs", "retry", job).stdout == f"{job} queued\n"
    assert waiting.run("jobs", "cancel", job).returncode == 0
    assert waiting.run("jobs", "rm", job).stdout == f"{job} deleted\n"
    assert waiting.run("jobs", "show", job).returncode == 1


def test_a_job_that_waits_for_a_limit_of_its_tenant_says_so(idle, waiting):
    idle.sql("INSERT INTO gristmill.tenants (tenant, running_jobs) VALUES ('default', 1)")
    try:
        first, second = (waiting.run("submit", "sales.csv", *QUESTION, "-q").stdout.strip() for _ in "12")
        shown = [waiting.run("jobs", "show", job).stdout for job in (first, second)]
        listed = waiting.run("jobs", "ls").stdout
    finally:
        idle.sql("DELETE FROM gristmill.tenants")

    told = r"^waits for +another job to end \(limit running_jobs\)$"
    assert [bool(re.search(told, each, re.MULTILINE)) for each in shown] == [False, True]
    assert re.search(rf"^{second} +queued \(running_jobs\) ", listed, re.MULTILINE)
    assert re.search(rf"^{first} +queued +0%", listed, re.MULTILINE)
    assert waiting.run("jobs", "cancel", first, second).returncode == 0


def test_a_submit_that_waits_for_a_place_says_so_unless_it_is_to_be_quiet(idle, waiting, monkeypatch):
    from gristmill.client import asking

    monkeypatch.setattr(asking, "RETRIES", 1)
    idle.sql("INSERT INTO gristmill.tenants (tenant, queued_jobs) VALUES ('default', 0)")
    try:
        said, quiet = (waiting.run("submit", "sales.csv", *QUESTION, *more) for more in ([], ["-q"]))
    finally:
        idle.sql("DELETE FROM gristmill.tenants")

    assert (said.returncode, quiet.returncode) == (1, 1)
    told = r"^429 too_many_jobs: .*\(its limit queued_jobs\).* Trying again in 5 s \(1 of 1\)$"
    assert re.search(told, said.stderr, re.MULTILINE), said.stderr
    assert "Trying again" not in quiet.stderr


def test_bad_rows_of_a_job_that_failed_with_one_lead_to_its_error(gristmill, tmp_path):
    (tmp_path / "bad.csv").write_text("n\n" + "1\n" * 2000 + "x\n")
    ran = gristmill.run("submit", "bad.csv", "--agg", "s=sum:n", "--type", "n=int64", "--wait", "-q")
    job = ran.stdout.strip()
    assert ran.returncode == 1

    listed = gristmill.run("bad-rows", job)
    command = re.search(rf"{job} failed with a bad row, which is shown by: gristmill (.*)", listed.stderr)[1]
    assert "line 2002" in gristmill.run(*shlex.split(command)).stdout


def test_after_a_timeout_the_job_goes_on_and_the_command_says_how(waiting):
    ran = Command.run(waiting, "aggregate", "sales.csv", *QUESTION, "--timeout", "0")

    assert (ran.returncode, ran.stdout) == (124, "")
    early = waiting.run("rows", re.search(r"job_\w+", ran.stderr)[0])
    assert (early.returncode, early.stdout) == (1, "")
    assert "queued and has no rows yet" in early.stderr
    assert goes_on(waiting, ran.stderr) == "queued"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_the_job_alone_and_says_how_to_go_on(waiting, number):
    with waiting.started("aggregate", "sales.csv", *QUESTION) as process:
        while "is under way" not in process.stderr.readline():
            pass
        process.send_signal(number)
        said, talk = process.communicate(timeout=30)

    assert (process.returncode, said) == (130, "")
    assert goes_on(waiting, talk) == "queued"


def goes_on(gristmill, talk: str) -> str:
    """The state of the job that the talk names, once the command that it shows has ended it."""
    job = re.search(r"job_\w+", talk)[0]
    state = json.loads(gristmill.run("jobs", "show", job, "-o", "json").stdout)["state"]
    assert f"gristmill jobs watch {job}\n" in talk
    command = re.search(r"End it: +gristmill (.*)\n", talk)[1]
    assert gristmill.run(*shlex.split(command)).stdout == f"{job} cancelled\n"
    return state


def test_a_wrong_question_ends_with_2_and_shows_the_option(gristmill):
    for words, shown in {
        ("--by", "city", "--agg", "total=summ:amount"): "--agg total=summ:amount: ",
        ("--agg", "n=count", "--where", "amount >"): "--where: column",
        ("--agg", "n=count", "--set", "options.priority=11"): "options.priority: ",
        ("--agg", "amount:sum"): "write 'sum:amount'",
        ("--agg", "n=count", "--timeout", "soon"): "--timeout 'soon'",
        ("--agg", "n=count", "--keep"): "--keep is for a service that is started here",
        ("--agg", "n=count", "--frobnicate"): "--frobnicate",
    }.items():
        ran = gristmill.run("aggregate", "sales.csv", *words)
        assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
        assert shown in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_missing_file_and_a_missing_thing_are_named(gristmill):
    ran = gristmill.run("aggregate", "sale.csv", *QUESTION)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "did you mean sales.csv?" in ran.stderr

    for words, shown in {("rows", "nothing"): "nothing", ("jobs", "show", "job_1"): "job_1"}.items():
        ran = gristmill.run(*words)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert shown in ran.stderr
        assert "404" in ran.stderr


def test_a_failed_job_ends_with_1_and_its_cure_works_to_the_letter(gristmill, tmp_path):
    (tmp_path / "orders.csv").write_bytes(ORDERS.read_bytes())
    words = ["aggregate", "orders.csv", "--by", "country", "--by", "month=ordered:1mo"]
    words += ["--agg", "revenue=sum:price", "--where", "status == 'paid'", "-o", "csv"]

    first = gristmill.run(*words)
    assert (first.returncode, first.stdout) == (1, "")
    assert "--by month=ordered:1mo: a bucket needs a date" in first.stderr
    (types,) = re.findall(r"On the command line.*: (--types .*)", first.stderr)
    second = gristmill.run(*words, *shlex.split(types))
    assert second.returncode == 1
    assert "line 7: 9 fields instead of 8" in second.stderr
    (keep_aside,) = re.findall(r"On the command line: (--on-bad-row quarantine)", second.stderr)
    third = gristmill.run(*words, *shlex.split(types), *shlex.split(keep_aside))

    assert third.returncode == 0, third.stderr
    assert "if '31/06/2024' stands for null: --types" in first.stderr
    assert third.stdout.splitlines()[1:] == [
        "DE,2024-05-01,1314.50",
        "DE,2024-06-01,-60.10",
        "DE,,5.00",
        "FR,2024-06-01,12.25",
    ]
    assert "line 7: 9 fields instead of 8" in third.stderr
    bad_rows = shlex.split(re.search(r"All of them: gristmill (.*)", third.stderr)[1])
    assert "9 fields instead of 8" in gristmill.run(*bad_rows).stdout
    kept = gristmill.run(*bad_rows, "-o", "csv").stdout
    assert [row["line"] for row in csv.DictReader(io.StringIO(kept))] == ["7"]
    assert [row["line"] for row in json.loads(gristmill.run(*bad_rows, "-o", "json").stdout)] == [7]


def test_nothing_that_answers_ends_with_3(tmp_path):
    url = f"http://127.0.0.1:{any_port()}"

    ran = Command(tmp_path).run("jobs", "--url", url)

    assert (ran.returncode, ran.stdout) == (3, "")
    assert url in ran.stderr
    assert "gristmill standalone" in ran.stderr


def test_a_host_without_a_name_ends_with_3_and_its_url(tmp_path):
    url = "http://gristmill.invalid:8080"
    no_proxy = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "")

    ran = Command(tmp_path).run("jobs", "--url", url, **no_proxy)

    assert (ran.returncode, ran.stdout) == (3, "")
    assert f"No Gristmill answers at {url} (" in ran.stderr
    assert "--url or GRISTMILL_URL" in ran.stderr


def test_a_connection_that_breaks_ends_with_3_and_its_url(capsys):
    from gristmill import Unreachable

    with pytest.raises(typer.Exit) as ended, told():
        raise Unreachable("GET", "http://far.example:8080/v1/jobs", "connection reset")

    assert ended.value.exit_code == 3
    said = capsys.readouterr().err
    assert "No Gristmill answers at http://far.example:8080/v1/jobs (connection reset)." in said


@pytest.mark.parametrize("words", [("aggregate", "sales.csv", *QUESTION), ("rows", "cli_sales")])
def test_parquet_on_a_terminal_is_refused_before_any_work(tmp_path, words):
    command = Command(tmp_path)
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "gristmill.cli",
            *words,
            "-o",
            "parquet",
            "--url",
            f"http://127.0.0.1:{any_port()}",
        ],
        cwd=tmp_path,
        env=command.env,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(theirs)
    os.close(ours)

    assert ran.returncode == 2
    assert ran.stderr.startswith("Parquet is no text: write it to a file")


def test_signs_that_the_terminal_does_not_have_are_escapes(gristmill, tmp_path):
    (tmp_path / "서울.csv").write_text("도시,n\n부산,1\n부산,2\n")
    command = Command(tmp_path, **gristmill.env | {"PYTHONIOENCODING": "ascii"})
    question = ("--by", "도시", "--agg", "total=sum:n")

    ran = command.run("aggregate", "서울.csv", *question)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [r"\ub3c4\uc2dc", "total", r"\ubd80\uc0b0", "3"]
    missing = command.run("aggregate", "부산.csv", *question)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert r"\ubd80\uc0b0.csv" in missing.stderr
    plan = command.run("plan", "서울.csv", "-o", "json")
    assert json.loads(plan.stdout)["plan"]["columns"][0]["name"] == "도시"


@pytest.mark.parametrize(
    "words", [("--help",), ("jobs", "--help"), ("aggregate", "x.csv", *QUESTION, "--show-spec")]
)
def test_a_reader_that_goes_away_is_no_traceback(tmp_path, words):
    shown = shlex.join([sys.executable, "-m", "gristmill.cli", *words])

    ran = subprocess.run(
        ["sh", "-c", f"{shown} | true"],
        cwd=tmp_path,
        env=Command(tmp_path).env,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert ran.stderr == ""


def test_rows_after_which_the_reader_goes_away_are_no_traceback(gristmill, tmp_path):
    (tmp_path / "many.csv").write_text("k\n" + "".join(f"{n:060}\n" for n in range(40_000)))
    question = ("--by", "k", "--agg", "n=count", "-q", "-o", "csv")
    with gristmill.started("aggregate", "many.csv", *question) as process:
        assert process.stdout.readline() == "k,n\n"
        process.stdout.close()
        talk = process.stderr.read()

    assert process.returncode == 141
    assert talk == ""


def test_a_closed_pipe_is_no_traceback(gristmill):
    with gristmill.started("jobs", "-o", "ndjson", "--limit", "0") as process:
        process.stdout.close()
        talk = process.stderr.read()

    assert process.returncode == 141
    assert talk == ""


def test_a_plan_shows_columns_values_and_estimates(gristmill):
    ran = gristmill.run("plan", "sales.csv", "--by", "city")

    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^city +string +25% +Seoul, Busan$", ran.stdout, re.MULTILINE)
    assert re.search(r"^amount +float64 +0% +10", ran.stdout, re.MULTILINE)
    assert re.search(r"^groups +3$", ran.stdout, re.MULTILINE)
    assert json.loads(gristmill.run("plan", "sales.csv", "-o", "json").stdout)["plan"]["column_count"] == 2


def test_the_spec_is_shown_without_a_service(tmp_path):
    ran = Command(tmp_path).run("submit", "x.csv", *QUESTION, "--set", "csv.trim=true", "--show-spec")

    assert json.loads(ran.stdout) == {
        "source": {"uris": ["x.csv"], "csv": {"trim": True}},
        "group_by": ["city"],
        "aggregates": [{"fn": "count", "as": "n"}, {"fn": "sum", "column": "amount", "as": "total"}],
    }


def test_uploads_are_added_listed_used_and_deleted(gristmill):
    uri = gristmill.run("uploads", "add", "sales.csv").stdout.strip()

    assert uri in gristmill.run("uploads").stdout
    ran = gristmill.run("aggregate", uri, *QUESTION, "-o", "json")
    assert {row["city"]: row["n"] for row in json.loads(ran.stdout)} == {"Seoul": 2, "Busan": 1, None: 1}
    assert gristmill.run("uploads", "add", "-", stdin=DATA).stdout.startswith("upload:upl_")


def test_results_workers_and_completion(gristmill):
    published(gristmill)

    assert re.search(r"^cli_sales +\d+ +3 ", gristmill.run("results").stdout, re.MULTILINE)
    shown = gristmill.run("results", "show", "cli_sales").stdout
    assert re.search("^columns +city string, n int64, total float64$", shown, re.MULTILINE)
    assert re.search(r"^wrk_\w+ +live ", gristmill.run("workers").stdout, re.MULTILINE)
    assert "_GRISTMILL_COMPLETE" in gristmill.run("completion", "bash").stdout
    completed = Command(gristmill.folder).run(
        _GRISTMILL_COMPLETE="complete_bash", COMP_WORDS="gristmill jobs wa", COMP_CWORD="2"
    )
    assert completed.stdout.strip() == "watch"


def test_keys_are_made_used_and_revoked(waiting):
    made = waiting.run("keys", "add", "--scope", "admin", "--name", "laptop")
    key = made.stdout.strip()
    assert key.startswith("gm_")
    try:
        refused = waiting.run("jobs")
        assert refused.returncode == 1
        assert "GRISTMILL_API_KEY" in refused.stderr
        assert waiting.run("jobs", GRISTMILL_API_KEY=key).returncode == 0
        assert waiting.run("jobs", "--api-key", key).returncode == 0
    finally:
        listed = json.loads(waiting.run("keys", "-o", "json", GRISTMILL_API_KEY=key).stdout)
        assert [one["name"] for one in listed] == ["laptop"]
        revoked = waiting.run("keys", "revoke", listed[0]["id"], GRISTMILL_API_KEY=key)
        assert revoked.stdout == f"{listed[0]['id']} revoked\n"


HEAVY = (
    "httpx2",
    "pandas",
    "pyarrow",
    "numpy",
    "gristmill.client",
    "gristmill.launcher",
    "rich",
    "email",
    "asyncio",
)


def test_help_loads_nothing_heavy(tmp_path):
    code = "import sys; from gristmill.cli import app; app(['--help'], standalone_mode=False)"
    code += "; print(*sys.modules)"

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    *said, modules = ran.stdout.splitlines()
    assert any("aggregate" in line for line in said)
    assert {name for name in modules.split() if name.startswith(HEAVY)} == set()


def test_a_table_on_a_terminal_has_no_colours_where_they_are_not_wanted(gristmill):
    published(gristmill)

    def on_a_terminal(**env: str) -> str:
        ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "gristmill.cli", "rows", "cli_sales"]
        subprocess.run(words, cwd=gristmill.folder, env=gristmill.env | env, stdout=theirs, check=True)
        os.close(theirs)
        said = os.read(ours, 1 << 16).decode()
        os.close(ours)
        return said

    assert "\x1b[1m" in on_a_terminal(TERM="xterm")
    assert "\x1b" not in on_a_terminal(TERM="xterm", NO_COLOR="1")
