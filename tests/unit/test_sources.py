"""Which URIs are allowed, and that no file outside the allowed folders can be opened."""

import errno
import os

import pytest

from shared.errors import SourceNotAllowed, SourceNotFound, SourceUnreadable, StorageUnavailable
from shared.storage.sources import Location, check_uri, locate, open_beneath


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    (root / "in ner").mkdir(parents=True)
    (root / "a.csv").write_text("a")
    (root / "b.csv").write_text("b")
    (root / "in ner" / "c.csv").write_text("c")
    (root / ".hidden.csv").write_text("h")
    (tmp_path / "secret.csv").write_text("secret")
    return root


def read(location):
    descriptor = open_beneath(location)
    try:
        return os.read(descriptor, 100).decode()
    finally:
        os.close(descriptor)


def allowed(data):
    return [f"file://{data}/"]


def located(data, pattern):
    return locate(f"file://{data}/{pattern}", allowed(data), "default", data)


@pytest.mark.parametrize(
    ("pattern", "contents"),
    [("a.csv", "a"), ("*.csv", "ab"), ("in%20ner/c.csv", "c"), ("**/*.csv", "abc"), ("**/**/c.csv", "c"), ("[ab].csv", "ab")],
)
def test_a_uri_means_its_files_in_order(data, pattern, contents):
    assert "".join(read(location) for location in located(data, pattern)) == contents


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "file://{data}/../secret.csv", "file://{data}/%2e%2e/secret.csv", "file://{data}"])
def test_nothing_outside_is_allowed(data, uri):
    with pytest.raises(SourceNotAllowed):
        check_uri(uri.format(data=data), "#/source/uris/0", allowed(data), "default")


def test_a_folder_whose_name_begins_alike_is_outside(data):
    with pytest.raises(SourceNotAllowed):
        check_uri(f"file://{data}2/a.csv", "#/source/uris/0", allowed(data), "default")


def test_without_sources_only_uploads_are_allowed(data):
    check_uri("upload:upl_1", "#/source/uris/0", [], "default")
    with pytest.raises(SourceNotAllowed, match="GRISTMILL_SOURCES"):
        check_uri(f"file://{data}/a.csv", "#/source/uris/0", [], "default")


def test_a_tenant_gets_its_own_folder(data):
    check_uri(f"file://{data}/acme/a.csv", "#", [f"file://{data}/{{tenant}}/"], "acme")
    with pytest.raises(SourceNotAllowed):
        check_uri(f"file://{data}/acme/a.csv", "#", [f"file://{data}/{{tenant}}/"], "other")


@pytest.mark.parametrize("uri", ["upload:../secret.csv", "upload:/etc/passwd", "upload:upl_../x", "upload:"])
def test_an_upload_is_named_by_its_id_only(data, uri):
    with pytest.raises(SourceNotFound):
        locate(uri, [], "default", data)


def test_links_are_never_followed(data, tmp_path):
    (data / "link.csv").symlink_to(tmp_path / "secret.csv")
    (data / "folder").symlink_to(tmp_path)
    for below in ("link.csv", "folder/secret.csv"):
        with pytest.raises(SourceUnreadable, match="symbolic link"):
            read(Location("file:///x", str(data), below))


def test_only_regular_files_are_read_and_a_pipe_does_not_hang(data):
    os.mkfifo(data / "pipe")
    for below in ("pipe", "in ner"):
        with pytest.raises(SourceUnreadable, match="not a regular file"):
            read(Location("file:///x", str(data), below))


def test_what_is_missing_is_named(data):
    with pytest.raises(SourceNotFound, match="nothing-here"):
        read(Location("file:///nothing-here", str(data), "nothing-here"))
    with pytest.raises(SourceNotFound, match="x-\\*"):
        located(data, "x-*.csv")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
def test_a_machine_in_trouble_says_nothing_about_the_file(data, monkeypatch, number):
    def in_trouble(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", in_trouble)
    with pytest.raises(StorageUnavailable):
        open_beneath(Location("file:///x", str(data), "a.csv"))


@pytest.mark.parametrize(("number", "error"), [(errno.EMFILE, StorageUnavailable), (errno.EACCES, SourceUnreadable)])
def test_a_folder_that_cannot_be_listed_is_an_error_and_not_a_folder_without_files(data, monkeypatch, number, error):
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("inner") or str(path).endswith("in ner"):
            raise OSError(number, os.strerror(number))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(located(data, "*.csv")) == 2
    with pytest.raises(error, match=r"in ?ner"):
        located(data, "**/*.csv")


def test_a_pattern_does_not_follow_links_to_folders(data):
    (data / "again").symlink_to(data / "in ner", target_is_directory=True)
    (data / "in ner" / "loop").symlink_to(data, target_is_directory=True)

    assert [location.below for location in located(data, "**/c.csv")] == ["in ner/c.csv"]
