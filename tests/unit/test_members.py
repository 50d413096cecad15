"""Each member of a zip file is a file of the dataset."""

import gzip
import io
import re
import stat
import zipfile
from contextlib import contextmanager

import msgspec
import pytest

from shared.core.plan import Warned
from shared.errors import (
    CorruptFile,
    LimitExceeded,
    NotSupported,
    SchemaConflict,
    SourceChanged,
    SourceEmpty,
    SourceNotFound,
)
from shared.settings import Settings
from shared.spec.uris import check_uri, split_member
from shared.storage.sources import Location, locate, source_rules
from tests.support.child_tasks import chunk_task, plan_task
from tests.support.datasets import source, zipped
from worker_service import readers
from worker_service.child import tasks
from worker_service.inputs import members as dataset_members
from worker_service.inputs.files import PlannedFiles
from worker_service.inputs.local import LocalFiles
from worker_service.inputs.members import find_files
from worker_service.readers.bytes import archive, compressed, directory
from worker_service.readers.bytes.local import SourceFile

JAN, FEB = b"k,n\na,1\n", b"k,n\r\na,2\r\nb,3"
METHODS = {0: "stored", 8: "deflated", 12: "bzip2", 14: "lzma"}


@pytest.fixture
def bundle(tmp_path):
    return tmp_path / "bundle.zip"


def files_in(path, *patterns, spec=None, max_expansion=1000):
    """The files of the dataset that *path* is, or its members that match, and the warnings."""
    locations = [
        Location(f"file://{path}", str(path.parent), path.name, members) for members in patterns or (None,)
    ]
    with LocalFiles([], hidden=False) as local:
        return find_files(local, locations, spec or source(), 1000, max_expansion)


@contextmanager
def opened(files):
    with LocalFiles([], hidden=False) as local, PlannedFiles(local, files) as planned:
        yield planned.sources


def rows_in(path, batch_bytes=1 << 20, spec=None):
    spec = spec or source()
    with opened(files_in(path, spec=spec)[0]) as sources:
        planned = readers.plan(sources, spec, 1 << 20)
        return [
            tuple(row.values())
            for extents in planned.extents
            for e in extents
            for batch in readers.batches(
                sources[e.file], e, planned.source, planned.schema, planned.schema.names, batch_bytes
            )
            for row in batch.table.to_pylist()
        ]


def names_in(path):
    return [file.member.name for file in files_in(path)[0]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_members_are_files_in_the_order_of_their_names(bundle, method, batch_bytes):
    with zipfile.ZipFile(bundle, "w", method) as written:
        written.writestr("jan.csv", JAN)
        written.mkdir("in ner")
        with written.open("in ner/feb%.csv", "w", force_zip64=True) as member:
            member.write(FEB)
    files, warnings = files_in(bundle)
    assert [file.uri for file in files] == [
        f"file://{bundle}!/in ner/feb%25.csv",
        f"file://{bundle}!/jan.csv",
    ]
    assert warnings == ()
    assert rows_in(bundle, batch_bytes) == [("a", 2), ("b", 3), ("a", 1)]


@pytest.mark.parametrize("method", METHODS)
def test_the_directory_is_read_as_pythons_zipfile_reads_it(bundle, method):
    data = {f"{i}.csv": b"k\n" + b"x" * i for i in range(1, 300, 23)}
    with zipfile.ZipFile(bundle, "w", method) as written:
        written.comment = b"a comment"
        for name, content in data.items():
            written.writestr(name, content)
    with zipfile.ZipFile(bundle) as read, opened(files_in(bundle)[0]) as sources:
        for file in sources:
            info = read.getinfo(file.member.name)
            assert (file.size, file.member.crc) == (info.compress_size, info.CRC)
            assert b"".join(compressed.buffers(file, "zip", 10)) == data[info.filename]


def test_what_file_managers_leave_behind_is_passed_over(bundle):
    clutter = ("a/", "__MACOSX/a/._x.csv", ".DS_Store", "a/.hidden.csv", ".git/x.csv", "a/Thumbs.db")
    bundle.write_bytes(zipped(dict.fromkeys(clutter, b"junk") | {"a/x.csv": JAN, "../y..csv": FEB}))
    assert names_in(bundle) == ["../y..csv", "a/x.csv"]


def test_a_member_that_is_empty_is_left_out_with_a_warning(bundle):
    bundle.write_bytes(zipped({"b.csv": b"", "a.csv": JAN}))
    with opened(files_in(bundle)[0]) as sources:
        planned = readers.plan(sources, source(), 1000)
    assert planned.warnings == (Warned("empty_file", f"file://{bundle}!/b.csv is empty; it is left out"),)
    assert rows_in(bundle) == [("a", 1)]


def test_a_zip_file_of_nothing_is_an_empty_source(bundle):
    for nothing in ({}, {"a/": b""}, {"a.csv": b""}):
        bundle.write_bytes(zipped(nothing))
        with pytest.raises(
            SourceEmpty, match=r"bundle\.zip.* (the zip file holds no files|the file is empty)"
        ):
            rows_in(bundle)


def test_a_uri_may_name_members(bundle):
    names = ("README.txt", "a/jan.csv", "a/feb.csv", "mar[1].csv")
    bundle.write_bytes(zipped(dict.fromkeys(names, JAN)))
    known = Settings(
        database_url="postgresql:///x", redis_url="redis:///", sources=(f"file://{bundle.parent}/",)
    )

    def found(*members):
        uris = [f"file://{bundle}!/{member}" for member in members]
        locations = [locate(check_uri(uri), "#", source_rules(known), "default") for uri in uris]
        with LocalFiles([], hidden=False) as local:
            files, warnings = find_files(local, locations, source(), 1000, 1000)
        return [file.member.name for file in files], [warned.detail for warned in warnings]

    assert found("*.csv") == (["a/feb.csv", "a/jan.csv", "mar[1].csv"], [])
    assert found("mar%5B1].csv", "a/jan.csv") == (["a/jan.csv", "mar[1].csv"], [])
    assert [found(file.uri.split("!/")[1])[0] for file in files_in(bundle)[0]] == [[n] for n in sorted(names)]
    with pytest.raises(
        SourceNotFound, match=r'No member of .*bundle\.zip matches "x\.csv"; it holds "README.txt"'
    ):
        found("x.csv")


def test_the_cure_for_a_member_of_another_kind_works(bundle):
    bundle.write_bytes(zipped({"a/jan.csv": JAN, "b/README.txt": b"read me first\n"}))
    with pytest.raises(SchemaConflict, match="name the members that have them") as caught:
        rows_in(bundle)
    cure = re.search(r"such as (\S+),", caught.value.detail)[1]
    assert split_member(cure) == (f"file://{bundle}", "*.csv")
    assert [file.member.name for file in files_in(bundle, "*.csv")[0]] == ["a/jan.csv"]


def test_a_member_that_is_named_twice_counts_once(bundle):
    bundle.write_bytes(zipped({"a.csv": JAN, "b.csv": FEB}))
    other = bundle.with_name("plain.csv")
    other.write_bytes(JAN)
    locations = [
        Location(f"file://{path}", str(path.parent), path.name, members)
        for path, members in ((bundle, "b.csv"), (other, None), (bundle, None))
    ]
    with LocalFiles([], hidden=False) as local:
        files, warnings = find_files(local, locations, source(), 1000, 1000)
    names = [file.uri.rpartition("/")[2] for file in files]
    assert names == ["b.csv", "plain.csv", "a.csv"]
    assert warnings == (
        Warned("duplicate_file", f"file://{bundle}!/b.csv is named twice; it is counted once"),
    )


def test_a_file_that_is_no_zip_file_has_no_members(bundle):
    bundle.write_bytes(JAN)
    with pytest.raises(SourceNotFound, match=r"bundle\.zip is not read as a zip file, so no member of it"):
        files_in(bundle, "a.csv")


def test_names_of_other_systems_are_kept_apart(bundle):
    data = zipped({"가.csv": JAN, "a\\b.csv": JAN, "x1.csv": JAN, "x2.csv": JAN})
    bundle.write_bytes(data.replace(b"x1.csv", b"\x811.csv").replace(b"x2.csv", b"\x812.csv"))
    assert names_in(bundle) == ["a\\b.csv", "ü1.csv", "ü2.csv", "가.csv"]  # code page 437


def with_mode(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("broken", "error", "told"),
    [
        (lambda z: z.writestr("a.csv", JAN), CorruptFile, 'the zip file holds "a.csv" more than once'),
        (
            lambda z: z.writestr(with_mode("l.csv", stat.S_IFLNK | 0o777), b"a.csv"),
            NotSupported,
            "'l.csv' in the zip file is a symbolic link; pack the file itself",
        ),
        (lambda z: z.writestr("b.csv.gz", gzip.compress(JAN)), NotSupported, "is a gzip file in a zip file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_cannot_be_read_is_named(bundle, broken, error, told):
    with zipfile.ZipFile(bundle, "w") as written:
        written.writestr("a.csv", JAN)
        broken(written)
    with pytest.raises(error, match=told):
        rows_in(bundle)


def spoiled(data, old, new):
    assert old in data
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:-1], "its directory is missing: the file is truncated, or other bytes follow it"),
        (
            lambda data: data + b"x",
            "its directory is missing: the file is truncated, or other bytes follow it",
        ),
        (lambda data: data[:40] + data[41:], "its directory ends at byte"),
        (lambda data: spoiled(data, b"PK\1\2", b"PK\1\3"), "no entry of its directory at byte"),
        (lambda data: b"PK\3\4" + spoiled(data, b"PK\3\4", b"PK\3\5")[4:], r"no data of 'b\.csv' at byte"),
        (lambda data: data.replace(b"a.csv", b"z.csv", 1), r"no data of 'a\.csv' at byte 0"),
    ],
)
def test_a_directory_that_is_damaged_is_an_error_of_the_file(bundle, change, told):
    bundle.write_bytes(change(zipped({"a.csv": JAN, "b.csv": FEB})))
    with pytest.raises(CorruptFile, match=f"bundle.zip: the zip file is damaged: {told}"):
        files_in(bundle)


def test_members_that_share_bytes_are_refused(bundle):
    """So a small file could hold the same data very often."""
    data = bytearray(zipped({"a.csv": JAN, "b.csv": JAN}))
    packed = data.index(b"PK\1\2") + 20
    data[packed] += 60  # so that the data of the first member hold the second
    bundle.write_bytes(bytes(data))
    with pytest.raises(CorruptFile, match=r"'b\.csv' overlaps another member"):
        files_in(bundle)


def test_data_that_differ_from_the_checksum_are_damaged(bundle):
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as written:
        written.writestr("a.csv", JAN)
    bundle.write_bytes(spoiled(stored.getvalue(), b"a,1", b"a,7"))
    with pytest.raises(
        CorruptFile, match=r"a\.csv: 'a\.csv' in the zip file is damaged: its checksum is wrong"
    ):
        rows_in(bundle)


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ("xl/workbook.xml", 'an .xlsx workbook: set source.format to "xlsx" or "auto"'),
        ("xl/workbook.bin", "an .xlsb workbook: save it as .xlsx or CSV"),
        ("word/document.xml", "a Word document: save its table as CSV"),
        ("META-INF/manifest.xml", "an OpenDocument file: save it as .xlsx or CSV"),
    ],
)
def test_a_document_that_is_a_zip_file_too_is_named(bundle, member, named):
    bundle.write_bytes(zipped({"[Content_Types].xml": b"<?xml", member: b"<?xml"}))
    with pytest.raises(NotSupported) as caught:
        files_in(bundle, spec=source(file_format="csv"))
    assert caught.value.detail == f"file://{bundle} is {named}"


def test_a_workbook_is_left_to_its_format(bundle):
    bundle.write_bytes(zipped({"[Content_Types].xml": b"<?xml", "xl/workbook.xml": b"<?xml"}))
    assert [file.member for file in files_in(bundle)[0]] == [None]


def test_the_number_of_files_is_bounded(bundle, monkeypatch):
    bundle.write_bytes(zipped({f"{i}.csv": JAN for i in range(5)}))
    monkeypatch.setattr(dataset_members, "MAX_FILES", 4)
    with pytest.raises(LimitExceeded, match="more than 4 files, with those in zip files"):
        files_in(bundle)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    with pytest.raises(LimitExceeded, match="the zip file holds more than 3 files; split it"):
        files_in(bundle)
    monkeypatch.setattr(directory, "MAX_DIRECTORY", 100)
    with pytest.raises(LimitExceeded, match=r"directory of the zip file takes \d+ bytes; the most is 100"):
        files_in(bundle)


def test_the_data_that_a_zip_file_claims_to_hold_are_bounded(bundle, monkeypatch):
    monkeypatch.setattr(compressed, "FREE_EXPANSION", 50_000)
    bundle.write_bytes(zipped({"a.csv": bytes(30_000), "b.csv": bytes(30_000)}))
    with pytest.raises(LimitExceeded, match=r"bytes of zip hold more than 50,000 bytes .* is 100 times"):
        files_in(bundle, max_expansion=100)
    assert len(files_in(bundle, max_expansion=300)[0]) == 2


def test_a_member_that_holds_more_than_it_claims_is_not_read_on(bundle):
    bundle.write_bytes(zipped({"a.csv": b"k\n" + b"x" * 1_000_000}))
    [file] = files_in(bundle)[0]
    lying = msgspec.structs.replace(file, member=msgspec.structs.replace(file.member, size=9))
    with opened([lying]) as [read], pytest.raises(CorruptFile, match="has more than 9 bytes, and is said"):
        list(compressed.buffers(read, "zip", 5))


def test_a_zip_file_that_changes_after_the_plan_has_changed(bundle):
    bundle.write_bytes(zipped({"a.csv": JAN, "b.csv": FEB}))
    files, _ = files_in(bundle)
    bundle.write_bytes(zipped({"a.csv": JAN, "b.csv": JAN}))
    told = r"bundle\.zip!/b\.csv changed since the job was planned"
    with pytest.raises(SourceChanged, match=told), opened(files[1:]) as [file]:
        list(compressed.buffers(file, "zip", 100))


def test_a_job_counts_the_bytes_of_its_members_and_of_its_file(bundle):
    bundle.write_bytes(zipped({"a.csv": b"k,n\n" + b"a,1\n" * 999, "b.csv": b"k,n\n" + b"b,2\n" * 500}))
    spec = {
        "source": {"uris": [f"file://{bundle}"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count", "as": "c"}],
    }
    planned, _ = tasks.run(plan_task(spec, bundle, chunk_bytes=10, prove=True))
    assert planned.plan.bytes == sum(file.bytes for file in planned.plan.files)
    assert [chunk.bytes for chunk in planned.chunks()] == [file.bytes for file in planned.plan.files]
    assert sum(file.bytes for file in planned.plan.files) < bundle.stat().st_size
    counts = [tasks.run(chunk_task(spec, planned, no))[0].rows.read for no in range(2)]
    assert counts == [999, 500]


def test_a_plan_of_before_reads_the_only_member(bundle):
    bundle.write_bytes(zipped({"a.csv": JAN}))
    with bundle.open("rb") as read:
        file = SourceFile(opened=read.fileno, uri="file:///old.zip", size=bundle.stat().st_size)
        assert b"".join(compressed.buffers(file, "zip", 100)) == JAN
