"""The files that the command line names."""

import os
import re
from pathlib import Path

import pytest

from gristmill.cli.mistakes import Mistake
from gristmill.cli.sources import file_uri, one_file, read_here, upload_all
from gristmill.cli.talk import named
from shared.spec.uris import check_uri, file_path, file_pattern


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.csv", "sub/c.csv", "50% *[x] ü!.csv", "z.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_pattern_is_its_files_by_name_and_their_folders_are_readable(folder):
    sources, folders = read_here(["[ab].csv", "sub/c.csv"], {})

    assert sources == [f"file://{folder}/a.csv", f"file://{folder}/b.csv", f"file://{folder}/sub/c.csv"]
    assert folders == [f"file://{folder}/", f"file://{folder}/sub/"]


def test_the_uri_of_a_file_names_exactly_it(folder):
    name = "50% *[x] ü!.csv"

    (uri,), _ = read_here([name], {})

    assert file_path(check_uri(uri)) == str(folder / name)
    assert not re.search(r"(?<!\[)[*?](?!\])", file_pattern(uri)), "a sign of the name would be a pattern"


def test_a_name_that_is_no_text_has_a_uri():
    assert file_uri(Path(os.fsdecode(b"/data/odd\xff.csv"))) == "file:///data/odd%FF.csv"


def test_a_link_is_followed(folder):
    (folder / "link.csv").symlink_to("sub/c.csv")

    assert read_here(["link.csv"], {}) == ([f"file://{folder}/sub/c.csv"], [f"file://{folder}/sub/"])


def test_uris_and_members_of_zip_files_are_left_as_they_are(folder):
    sources, folders = read_here(["file:///data/%20/x*.csv", "z.zip!/jan*.csv"], {})

    assert sources == ["file:///data/%20/x*.csv", f"file://{folder}/z.zip!/jan*.csv"]
    assert folders == ["file:///data/%20/", f"file://{folder}/"]


def test_a_pipe_is_read_and_uploaded(folder):
    read, write = os.pipe()
    os.write(write, b"k\n1\n")
    os.close(write)

    ((source,), folders) = read_here([f"/dev/fd/{read}"], {})

    with source:
        assert (source.read(), folders) == (b"k\n1\n", [])
    os.close(read)


class Uploads:
    """Stands for a client: counts the files that it is given."""

    def __init__(self):
        self.paths = []

    def upload(self, path):
        self.paths.append(path)
        return {"uri": f"upload:upl_{len(self.paths)}"}


def test_a_service_elsewhere_gets_the_files_themselves_and_messages_their_names(folder):
    client, names = Uploads(), {}

    uris = upload_all(["sub/c.csv", "upload:upl_9", "[ab].csv", "z.zip!/jan*.csv"], names, client)

    assert uris == [
        "upload:upl_1", "upload:upl_9", "upload:upl_2", "upload:upl_3", "upload:upl_4!/jan*.csv",
    ]  # fmt: skip
    assert [str(path) for path in client.paths] == ["sub/c.csv", "a.csv", "b.csv", "z.zip"]
    assert named("upload:upl_2: line 3", names) == "a.csv: line 3"
    assert named("upload:upl_4!/jan.csv: line 3", names) == "z.zip!/jan.csv: line 3"
    assert one_file("a.csv") == Path("a.csv")
    with pytest.raises(Mistake, match="3 files"):
        one_file("*.csv")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c.csv", ["no file c.csv in", "did you mean"]),
        ("nowhere/a.csv", ["no folder", "nowhere"]),
        ("*.parquet", ["'*.parquet'"]),
        ("sub", ["folder", "'sub/*.csv'"]),
        ("upload:upl_1", ["--url"]),
    ],
)
def test_a_missing_file_is_named_with_its_place_and_a_cure(folder, name, words):
    with pytest.raises(Mistake) as caught:
        read_here([name], {})
    assert [word for word in words if word not in str(caught.value)] == []
