"""`gristmill models` prints classes that run as printed, for any name and type of a column."""

import asyncio
import datetime as dt
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import orm
from typer.testing import CliRunner

from gristmill.cli import app
from gristmill.models import django, sqlalchemy
from gristmill.models.columns import attributes
from tests.support.gateway import gateway, publish

ROOT = Path(__file__).parents[2]
AT = dt.datetime(2024, 1, 1, 9)  # noqa: DTZ001  # a time without a zone
TYPED = {
    "b": ("bool", True),
    "i": ("int64", 2**63 - 1),
    "f": ("float64", float("inf")),
    "d": ("decimal(38,2)", Decimal("-0.01")),
    "whole": ("decimal(38,0)", Decimal(10**37)),
    "s": ("string", 'a"b\n'),
    "day": ("date", dt.date(1, 1, 2)),
    "at": ("timestamp", AT),
    "seen": ("timestamptz", AT.replace(tzinfo=dt.UTC)),
    "i_top": ("int64[]", [3, 2]),
    "d_top": ("decimal(5,1)[]", [Decimal("1.5")]),
    "at_top": ("timestamp[]", [AT]),
}
ODD = [
    *(
        "100%",
        "%s",
        "%(a)s",
        "%%",
        'a"b',
        '"q"',
        '"x',
        "'",
        "\\",
        "from",
        "models",
        "pk",
        "id",
        "check",
        "save",
    ),
    *(
        "x__y",
        "x_",
        "x",
        "é",
        "e\u0301",
        "\ufb01",
        "fi",
        "a b",
        "a_b",
        "\n",
        "_state",
        "Total",
        "total",
        "1st",
    ),
    *(
        "None",
        "metadata",
        "registry",
        "dt",
        "sa",
        "int",
        "objects",
        "Meta",
        "__init__",
        "🙂",
        "a{b}",
        "x" * 63,
    ),
]
SCRIPT = """
import datetime as dt, django, io, json, sys, warnings
from django.conf import settings
warnings.simplefilter("error")
settings.configure(USE_TZ=True, TIME_ZONE="Asia/Seoul", INSTALLED_APPS=["django.contrib.postgres", "reports"],
                   DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
                   **json.loads(sys.argv[1]))
django.setup()
from django.core.management import call_command
from django.db import models
from reports.models import Select
checks = io.StringIO()
call_command("check", databases=["gristmill"], fail_level="WARNING", stdout=checks)
call_command("makemigrations", "reports", verbosity=0)
call_command("migrate", verbosity=0)
"""


@pytest.fixture
def columns():
    return dict.fromkeys(ODD, "int64") | {name: kind for name, (kind, _) in TYPED.items()}


@pytest.fixture
async def result(settings, columns):
    """The document of a result whose name is a reserved word of SQL."""
    row = (*range(len(ODD)), *(value for _, value in TYPED.values()))
    await publish(settings, columns, [row, (None,) * len(row)], name="select")
    async with gateway(settings) as http, http.get("/v1/results/select") as answer:
        return await answer.json()


async def command(*words, **env):
    """`gristmill models` as a process of its own: the gateway of these tests logs to this one's output."""
    line = [sys.executable, "-m", "gristmill.cli", "models", *words]
    return await asyncio.to_thread(
        subprocess.run, line, env=os.environ | env, capture_output=True, text=True, cwd=ROOT, check=False
    )


def commented(text, first):
    """The code in the comment that begins with the line *first*."""
    [found] = re.findall(rf"^#     ({re.escape(first)}.*?)(?=^#\n# \S|^$)", text, re.MULTILINE | re.DOTALL)
    return re.sub(r"^#(?:     )?", "", found, flags=re.MULTILINE)


def project(text, folder, dsn):
    """The app `reports` as the comment says, and the settings."""
    (folder / "reports").mkdir()
    (folder / "reports" / "__init__.py").touch()
    (folder / "reports" / "models.py").write_text(text)
    (folder / "reports" / "routers.py").write_text(commented(text, "class Results:"))
    names = {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db.sqlite3"}}
    }
    exec(commented(text, 'DATABASES["gristmill"]'), names)
    url = urlsplit(dsn)
    own = {"HOST": url.hostname, "PORT": url.port, "NAME": url.path[1:]}
    own |= {"USER": url.username, "PASSWORD": url.password}
    assert own.keys() < names["DATABASES"]["gristmill"].keys()
    names["DATABASES"]["gristmill"] |= own
    return {name: names[name] for name in ("DATABASES", "DATABASE_ROUTERS")}


def in_django(script, folder, settings, *arguments):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(script), json.dumps(settings), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


async def test_the_django_model_reads_every_name_and_type(result, settings, columns, tmp_path):
    said = await asyncio.to_thread(
        in_django,
        """
        given = json.loads(sys.argv[2])
        row = Select.objects.get(_id=1)
        print([getattr(row, name) for name in given])
        empty = Select.objects.exclude(_id=1).get()
        assert {getattr(empty, name) for name in given} == {None}
        for name in given:
            value = getattr(row, name)
            if name != "at_top":  # Django itself takes the elements for times of the current zone
                assert Select.objects.get(**{name: value}) == row, name
            assert Select.objects.order_by(name).values_list(name, flat=True)[0] == value, name
            assert Select.objects.values(name).annotate(rows=models.Count("*")).count() == 2, name
        early = Select.objects.filter(at__lte="2024-01-01 09:00")
        assert Select.objects.get(_id__in=early.values("pk")).pk == 1
        assert early.filter(at__gt=dt.date(2024, 1, 1), at__lt=dt.datetime(2024, 1, 1, 9, 1)).exists()
        for shifted in ({"at": dt.datetime(2024, 1, 1, 9, tzinfo=dt.UTC)}, {"at__date": dt.date(2024, 1, 1)}):
            try:
                raise AssertionError(Select.objects.filter(**shifted).get())
            except (ValueError, django.core.exceptions.FieldError) as error:
                print(error)
        """,
        tmp_path,
        project(django.model(result), tmp_path, settings.database_url),
        json.dumps(attributes(columns, django.TAKEN)),
    )
    expected = [*range(len(ODD)), *(value for _, value in TYPED.values())]
    read, *refused = said.splitlines()
    assert eval(read, {"datetime": dt, "Decimal": Decimal, "inf": float("inf")}) == expected
    zoned, lookup = refused
    assert "has a time zone, and the column 'at' has none" in zoned
    assert lookup.startswith("__date takes 'at' for a time of the current zone")


def test_no_attribute_hides_one_of_djangos():
    said = subprocess.run(
        [sys.executable, "-c", "from django.db.models import Model; print(dir(Model))"],
        capture_output=True,
        text=True,
        check=True,
    )
    public = {name for name in eval(said.stdout) if not name.startswith("_")}
    assert public <= django.TAKEN


async def test_the_sqlalchemy_class_reads_every_name_and_type(result, settings, columns, tmp_path):
    path = tmp_path / "rows.py"
    path.write_text(sqlalchemy.declarative(result))
    spec = importlib.util.spec_from_file_location("rows", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = module.Select
    names = [attribute.key for attribute in rows.__mapper__.column_attrs]
    assert [rows.__table__.c[0].name, *columns] == [
        rows.__mapper__.column_attrs[name].columns[0].name for name in names
    ]
    engine = sa.create_engine(settings.database_url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with orm.Session(engine) as session:
            row = session.get(rows, 1)
            values = [getattr(row, name) for name in names]
            assert values == [1, *range(len(ODD)), *(value for _, value in TYPED.values())]
            for name, value in zip(names, values, strict=True):
                found = session.scalars(sa.select(rows).where(getattr(rows, name) == value)).all()
                assert found == [row], name
    finally:
        engine.dispose()


async def test_the_command_prints_them_with_a_key(settings):
    await publish(settings, {"n": "int64"}, [(1,)], name="sales")
    async with gateway(settings.model_copy(update={"api_key": SecretStr("k" * 32)})) as http:
        url = str(http._base_url)
        env = {"GRISTMILL_URL": url, "GRISTMILL_API_KEY": "k" * 32}
        printed = await command("sales", "--sqlalchemy", **env)
        assert "class Sales(Base):" in printed.stdout
        missing = await command("salse", "--django", **env)
        refused = await command("sales", "--django", GRISTMILL_URL=url)
    for run, words in ((missing, ("salse", "404 not_found")), (refused, ("GRISTMILL_API_KEY",))):
        assert (run.returncode, run.stdout) == (1, "")
        assert all(word in run.stderr for word in words)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["sales"], 2, "--django or --sqlalchemy"),
        (["sales", "--django", "--sqlalchemy"], 2, "--django or --sqlalchemy"),
        (["sales", "--django", "--url", "http://127.0.0.1:9"], 3, "http://127.0.0.1:9"),
        (["sales", "--django", "--url", "nonsense"], 2, "http://nonsense"),
    ],
)
def test_the_command_says_why_it_cannot_print(words, code, says):
    run = CliRunner().invoke(app, ["models", *words])
    assert (run.exit_code, run.stdout) == (code, "")
    assert says in run.stderr


class OtherServer(BaseHTTPRequestHandler):
    """Answers with JSON that is no document of Gristmill."""

    def do_GET(self):
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b'["no Gristmill"]')

    def log_message(self, *_):
        pass


def test_another_server_is_told():
    with HTTPServer(("127.0.0.1", 0), OtherServer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        run = CliRunner().invoke(app, ["models", "sales", "--django", "--url", url])
        server.shutdown()
        thread.join()
    assert run.exit_code == 3
    assert "not Gristmill's: name a gateway with --url" in run.stderr


def test_a_type_of_a_later_version_is_told():
    document = {"name": "sales", "relation": "results.sales", "columns": [{"name": "n", "type": "uuid"}]}
    for text in (django.model, sqlalchemy.declarative):
        with pytest.raises(ValueError, match="'n' has the type 'uuid'"):
            text(document)
