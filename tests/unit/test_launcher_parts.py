"""The launcher's view of what is installed: missing extras, and the path of the server's packages."""

import os
from importlib.metadata import PackageNotFoundError

import pytest

from gristmill.launcher import extras, services
from gristmill.launcher.processes import LauncherError
from gristmill.launcher.services import service_environment

REQUIREMENTS = [
    "no-such-base>=2",
    "pytest<10,>=9; extra == 'server'",
    "no.such_server[fast]<6,>=5; extra == 'server'",
    "no-such-old>=1; (python_version < '3') and extra == 'server'",
    "no-such-demo==1; extra == 'demo'",
    "no-such-other; extra == 'demo'",
]


def test_what_is_missing_of_an_extra_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(extras, "requires", lambda _: REQUIREMENTS)
    assert extras.missing("server") == ["no.such_server"]
    assert extras.missing("demo") == ["no-such-demo", "no-such-other"]
    assert extras.missing("unknown") == []
    with pytest.raises(LauncherError, match=r"no-such-demo and 1 more: pip install 'gristmill\[demo\]'$"):
        extras.need("demo")
    with pytest.raises(LauncherError, match=r"missing, no\.such_server: pip install 'gristmill\[server\]'$"):
        extras.need("server")


def test_source_that_is_not_installed_needs_no_extra(monkeypatch):
    def unknown(_):
        raise PackageNotFoundError

    monkeypatch.setattr(extras, "requires", unknown)
    extras.need("server")


def test_here_no_package_of_any_extra_of_a_user_is_missing():
    for extra in ("server", "standalone", "demo", "pandas"):
        extras.need(extra)


def test_a_clone_leaves_the_path_as_it_is():
    assert service_environment({"PYTHONPATH": "/own"})["PYTHONPATH"] == "/own"
    assert service_environment({"A": "1"}) == {"A": "1", "PYTHONPATH": "", "PYTHONSAFEPATH": "1"}


def test_a_wheel_puts_the_packages_of_the_server_before_those_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(services, "PACKAGES", tmp_path)
    assert service_environment({"PYTHONPATH": "/own"})["PYTHONPATH"] == f"{tmp_path}{os.pathsep}/own"
    assert service_environment({})["PYTHONPATH"] == str(tmp_path)
