"""`gristmill server`: each program gets the words it was given and answers with its own exit code."""

import os
import subprocess
import sys

import pytest

from tests.support.launched import ROOT

KNOWN = {name: value for name, value in os.environ.items() if not name.startswith("GRISTMILL_")}


def server(*words, env=None, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "gristmill.cli", "server", *words],
        env=KNOWN | {"COLUMNS": "200"} | (env or {}), cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_its_help_names_every_program_and_each_has_its_own():
    said = server("--help")
    assert said.returncode == 0
    for name in ("serve", "worker", "migrate", "keys", "verify", "doctor"):
        assert name in said.stdout
        assert server(name, "--help").returncode == 0
    assert "usage: gristmill server keys add" in server("keys", "add", "--help").stdout


@pytest.mark.parametrize("name", ["serve", "worker", "migrate"])
def test_a_program_without_settings_says_which_are_missing_and_exits_2(name):
    said = server(name)
    assert said.returncode == 2
    assert "GRISTMILL_DATABASE_URL: Field required" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://root@127.0.0.1/x", 'scheme is expected to be either "postgresql" or "postgres"'),
        ("postgresql://nobody_here:wrong@{address}", 'password authentication failed for user "nobody_here"'),
    ],
)
def test_a_migration_by_a_wrong_url_ends_at_once_with_one_line(database_url, url, reason):
    address = database_url.rpartition("@")[2]
    said = server("migrate", env={"GRISTMILL_DATABASE_URL": url.format(address=address)})

    assert said.returncode == 1
    [line] = said.stderr.splitlines()
    assert line.startswith("Not migrated: Postgres cannot be reached: ")
    assert reason in line


def test_words_and_options_arrive_as_they_were_given(database_url):
    database = {"GRISTMILL_DATABASE_URL": database_url}
    made = server("keys", "add", "two words", "--scope", "read", "--scope=upload", env=database)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("gm_")
    [line] = [
        line for line in server("keys", "list", env=database).stdout.splitlines() if "two words" in line
    ]
    assert "read,upload" in line
    assert server("keys", "revoke", line.split()[0], env=database).returncode == 0
    unknown = server("keys", "revoke", "key_none", env=database)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "There is no key key_none; `gristmill server keys list` shows them" in unknown.stderr
