"""Both clients have the same names, documents those of the service, and nothing is loaded too soon."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import gristmill
from api_service.wire import bulk, keys, plans, quarantine, workers
from api_service.wire import documents as wire
from gristmill.client import documents
from shared.core import look
from shared.core.lifecycle import JobState
from shared.core.plan import Warned

PAIRS = [("Client", "AsyncClient"), ("Job", "AsyncJob"), ("Plan", "AsyncPlan"), ("Result", "AsyncResult")]


def public(cls: type) -> dict[str, object]:
    return {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_both_clients_have_the_same_names_parameters_and_descriptions(blocking, asynchronous):
    ours, theirs = public(getattr(gristmill, blocking)), public(getattr(gristmill, asynchronous))

    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        if callable(method):
            assert [*inspect.signature(method).parameters] == [*inspect.signature(theirs[name]).parameters], (
                name
            )
            assert theirs[name].__doc__, name
        assert isinstance(method, property) or method.__doc__, f"{blocking}.{name} has no docstring"


def test_words_are_spelled_out_for_help_and_completion():
    assert {"by", "aggs", "where", "on_bad_row"} <= inspect.signature(
        gristmill.Client.submit
    ).parameters.keys()
    assert {"order_by", "limit"} <= inspect.signature(gristmill.Result.rows).parameters.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (documents.JobDocument, wire.JobDocument),
        (documents.ResultDocument, wire.ResultDocument),
        (documents.UploadDocument, wire.UploadDocument),
        (documents.Progress, wire.ProgressDocument),
        (documents.Timing, wire.TimingDocument),
        (documents.Chunks, wire.ChunkCounts),
        (documents.Bytes, wire.ByteCounts),
        (documents.Column, wire.ColumnDocument),
        (documents.Field, wire.FieldDocument),
        (documents.Warned, Warned),
        (documents.PlanDocument, plans.PlanDocument),
        (documents.Findings, look.Look),
        (documents.PlanColumn, look.LookedColumn),
        (documents.Estimate, look.SecondsEstimate),
        (documents.OutcomeDocument, bulk.OutcomeDocument),
        (documents.BulkDocument, bulk.BulkDocument),
        (documents.BadRow, quarantine.KeptRowDocument),
        (documents.WorkerDocument, workers.WorkerDocument),
        (documents.KeyDocument, keys.MadeKeyDocument),
    ],
)
def test_documents_have_the_keys_of_the_service_and_its_nulls(ours, theirs):
    typed, sent = get_type_hints(ours), get_type_hints(theirs)

    assert typed.keys() == sent.keys()
    nullable = {name for name, kind in sent.items() if type(None) in get_args(kind)} & ours.__required_keys__
    assert nullable <= {name for name, kind in typed.items() if type(None) in get_args(kind)}


def test_the_states_are_those_of_the_service():
    assert {*get_args(documents.JobState)} == {*JobState}


def test_editors_see_every_public_name():
    tree = ast.parse(Path(gristmill.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names}

    assert sorted(seen) == gristmill.__all__
    assert all(getattr(gristmill, name) for name in gristmill.__all__)
    assert {*gristmill.__all__} <= {*dir(gristmill)}
    with pytest.raises(AttributeError, match="has no attribute 'Cleint'"):
        _ = gristmill.Cleint


def loaded(code: str) -> set[str]:
    program = f"import sys; before = {{*sys.modules}}; {code}; print(*({{*sys.modules}} - before))"
    return {
        *subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    }


HEAVY = {"pandas", "numpy", "pyarrow", "polars", "rich", "matplotlib", "IPython", "typer"}


def test_importing_gristmill_loads_nothing_else():
    others = {
        name for name in loaded("import gristmill") if name.partition(".")[0] not in sys.stdlib_module_names
    }

    assert others == {"gristmill"}


def test_a_client_loads_no_frames_no_terminal_and_nothing_of_the_service():
    found = {name.partition(".")[0] for name in loaded("from gristmill import Client; Client()")}

    assert found & (HEAVY | {"shared", "api_service", "worker_service"}) == set()


def test_the_package_is_typed():
    assert (Path(gristmill.__file__).parent / "py.typed").exists()
