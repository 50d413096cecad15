"""Sources in every form: URIs stay, paths and patterns are files, open files and frames are streams."""

import io
import os
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gristmill.client.sources import Content, contents


def names(found: list) -> list[str]:
    return [each.name if isinstance(each, Content) else each for each in found]


def read(content: Content, offset: int = 0) -> bytes:
    return b"".join(content.blocks(offset))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.csv", "a.csv", "deep/c.csv", "[x].csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("uri", ["upload:upl_1", "file:///data/a.csv", "s3://bucket/*.csv"])
def test_a_uri_stays_as_it_is(uri):
    assert contents(uri) == [uri]


def test_an_upload_stands_for_its_uri():
    assert contents({"id": "upl_1", "uri": "upload:upl_1"}) == ["upload:upl_1"]


def test_paths_and_patterns_are_files_in_the_order_of_their_names(folder):
    assert names(contents("a.csv")) == names(contents(folder / "a.csv")) == ["a.csv"]
    assert names(contents("?.csv")) == ["a.csv", "b.csv"]
    assert names(contents("**/*.csv")) == ["[x].csv", "a.csv", "b.csv", "c.csv"]
    assert names(contents(["b.csv", "upload:upl_1", folder / "a.csv"])) == ["b.csv", "upload:upl_1", "a.csv"]


def test_a_file_that_is_named_like_a_pattern_or_a_uri_is_a_file(folder):
    (folder / "data:a").write_text("")

    assert names(contents("[x].csv")) == ["[x].csv"]
    assert names(contents("data:a")) == ["data:a"]


def test_the_home_folder_is_known(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))

    assert names(contents("~/a.csv")) == ["a.csv"]


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("no.csv", FileNotFoundError, "no such file: no.csv"),
        ("*.parquet", FileNotFoundError, r"no such file: \*.parquet"),
        ("deep", IsADirectoryError, r"deep is a folder: name its files, as deep/\*.csv"),
        (7, TypeError, "no source of a job: int"),
        (b"a,b", TypeError, "no source of a job: bytes"),
        (io.StringIO("a"), TypeError, "open it with mode 'rb'"),
    ],
)
def test_something_else_is_refused_with_a_cure(folder, source, kind, message):
    with pytest.raises(kind, match=message):
        contents(source)


def test_a_file_is_read_from_any_offset_as_often_as_needed(folder):
    [content] = contents("a.csv")

    assert content.size == 5
    assert [read(content), read(content, 2), read(content)] == [b"a.csv", b"csv", b"a.csv"]


def test_an_open_file_is_read_from_its_position(folder):
    with Path("a.csv").open("rb") as file:
        file.seek(1)
        [content] = contents(file)
        assert (content.name, content.size) == ("a.csv", 4)
        assert [read(content), read(content, 1)] == [b".csv", b"csv"]


def test_a_pipe_is_read_once_and_has_no_size():
    ours, theirs = os.pipe()
    os.write(theirs, b"a,b\n")
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        [content] = contents(pipe)
        assert (content.size, content.repeatable) == (None, False)
        assert read(content) == b"a,b\n"


FRAME = {"k": ["a", None, "b"], "n": [1, 2, None], "x": [0.1, float("nan"), None]}


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame(FRAME), pl.DataFrame(FRAME, strict=False), pa.table(FRAME)],
    ids=["pandas", "polars", "pyarrow"],
)
def test_a_frame_becomes_an_arrow_file_again_and_again(frame):
    [content] = contents(frame)
    table = pa.ipc.open_file(pa.py_buffer(read(content))).read_all()

    assert content.repeatable
    assert read(content) == read(content)
    assert table["k"].to_pylist() == FRAME["k"]


def test_a_frame_is_cut_into_batches():
    [content] = contents(pa.table({"n": range(300_000)}))
    file = pa.ipc.open_file(pa.py_buffer(read(content)))

    assert file.num_record_batches == 3
    assert file.read_all()["n"].to_pylist() == list(range(300_000))


def test_a_stream_of_batches_is_read_once():
    [content] = contents(pa.table({"n": [1]}).to_reader())

    assert not content.repeatable
