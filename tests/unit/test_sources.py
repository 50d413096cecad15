"""Which URIs are allowed, which files they mean, and that no other file can be found or opened."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from shared.core.plan import Warned
from shared.core.warnings import sorted_warnings
from shared.errors import (
    LimitExceeded,
    SourceChanged,
    SourceNotAllowed,
    SourceNotFound,
    SourceUnreadable,
    StorageUnavailable,
)
from shared.settings import Settings
from shared.storage.sources import Location, locate, own_folders, source_rules
from worker_service.inputs import files, find
from worker_service.inputs.local import LocalFiles
from worker_service.messages import Access

POINTER = "#/source/uris/0"


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    (root / "in ner").mkdir(parents=True)
    (root / "a.csv").write_text("a")
    (root / "b.csv").write_text("b")
    (root / "in ner" / "c.csv").write_text("c")
    (root / ".hidden.csv").write_text("h")
    (root / ".git").mkdir()
    (root / ".git" / "d.csv").write_text("d")
    (tmp_path / "secret.csv").write_text("secret")
    return root


def settings(data, *sources, **others):
    allowed = sources or (f"file://{data}/",)
    return Settings(
        database_url="postgresql:///x",
        redis_url="redis:///",
        storage=data.parent / "storage",
        sources=allowed,
        **others,
    )


def found(data, *uris, max_names=1000, tenant="default", **others):
    """What a worker makes of the URIs: the files of the plan, and the warnings."""
    known = settings(data, **others)
    locations = [locate(uri, POINTER, source_rules(known), tenant) for uri in uris]
    with LocalFiles(own_folders(known), hidden=known.allow_hidden_sources) as local:
        files_found, warnings = find.find(local, locations, max_names)
        return files_found, sorted_warnings(warnings)


def below(data, *patterns, **others):
    return [
        file.below for file in found(data, *(f"file://{data}/{pattern}" for pattern in patterns), **others)[0]
    ]


def read(root, name, *, own=(), hidden=False):
    with LocalFiles(own, hidden=hidden) as local:
        descriptor = local.file(Location(f"file://{root}/{name}", str(root), name))
        try:
            return os.read(descriptor, 100).decode()
        finally:
            os.close(descriptor)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.csv", ["a.csv"]),
        ("*.csv", ["a.csv", "b.csv"]),
        ("in%20ner/c.csv", ["in ner/c.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "in ner/c.csv"]),
        ("**/**/c.csv", ["in ner/c.csv"]),
        ("**", ["a.csv", "b.csv", "in ner/c.csv"]),
        ("in*/**/c.csv", ["in ner/c.csv"]),
        ("**/in ner/*", ["in ner/c.csv"]),
        ("[ab].csv", ["a.csv", "b.csv"]),
        ("*", ["a.csv", "b.csv"]),
        (".//in%20ner///c.csv", ["in ner/c.csv"]),
    ],
)
def test_a_uri_means_its_files_in_order(data, pattern, names):
    assert below(data, pattern) == names


@pytest.mark.parametrize(
    "name", ["a[1].csv", "a?.csv", "a*.csv", "a*?[1]*.csv", "**", "f[o]*/x.csv", "[!a]%5b.csv"]
)
def test_an_escaped_character_of_a_pattern_stands_for_itself(data, name):
    for other in ("a1.csv", "ab.csv", "fo1/x.csv", name):
        (data / other).parent.mkdir(exist_ok=True)
        (data / other).write_text("n")
    assert below(data, quote(name)) == below(data, quote(name).lower()) == [name]
    [file] = found(data, f"file://{data}/{quote(name)}")[0]
    assert [again.below for again in found(data, file.uri)[0]] == [name]


def test_a_pattern_that_meets_no_file_says_how_to_write_such_a_name(data):
    (data / "a[1].csv").write_text("n")
    with pytest.raises(
        SourceNotFound,
        match=r"No file matches .*a\[1\]\.csv; a \? or \[ that is part of a name is written %3F or %5B$",
    ):
        below(data, "a[1].csv")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file://{data}/../secret.csv",
        "file://{data}/%2e%2e/secret.csv",
        "file://{data}/in%20ner/%2E%2E/%2e%2e/secret.csv",
        "file://{data}",
        "file:///{data}/a.csv",
        "file://{data}2/a.csv",
    ],
)
def test_nothing_outside_is_allowed(data, uri):
    with pytest.raises(SourceNotAllowed):
        locate(uri.format(data=data), POINTER, source_rules(settings(data)), "default")


def test_without_sources_only_uploads_are_allowed(data):
    nothing = settings(data).model_copy(update={"sources": []})
    assert locate("upload:upl_1", POINTER, source_rules(nothing), "default").below == "upl_1"
    with pytest.raises(SourceNotAllowed, match="GRISTMILL_SOURCES"):
        locate(f"file://{data}/a.csv", POINTER, source_rules(nothing), "default")


def test_a_tenant_gets_its_own_folder_and_hears_of_no_other(data):
    known = settings(data, f"file://{data}/{{tenant}}/", "file:///public/")
    locate(f"file://{data}/acme/a.csv", POINTER, source_rules(known), "acme")
    with pytest.raises(SourceNotAllowed) as refused:
        locate(f"file://{data}/acme/a.csv", POINTER, source_rules(known), "other")
    assert f"(file://{data}/other/, file:///public/)" in refused.value.detail
    assert refused.value.errors[0]["pointer"] == POINTER


def test_a_uri_of_members_names_its_zip_file_by_the_same_rules(data):
    rules = source_rules(settings(data))
    upload = locate("upload:upl_1!/a/*.csv", POINTER, rules, "default")
    assert (upload.below, upload.members, upload.is_upload) == ("upl_1", "a/*.csv", True)
    file = locate(f"file://{data}/*.ZIP!/in%20ner/a%2A.csv", POINTER, rules, "default")
    assert (file.below, file.members) == ("*.ZIP", "in ner/a[*].csv")
    assert locate(f"file://{data}/x!/a.csv", POINTER, rules, "default").members is None
    with pytest.raises(SourceNotAllowed):
        locate("file:///etc/x.zip!/a.csv", POINTER, rules, "default")


@pytest.mark.parametrize("uri", ["upload:../secret.csv", "upload:/etc/passwd", "upload:upl_../x", "upload:"])
def test_an_upload_is_named_by_its_id_only(data, uri):
    with pytest.raises(SourceNotFound):
        locate(uri, POINTER, source_rules(settings(data)), "default")


@pytest.mark.parametrize(
    "name", [".hidden.csv", "%2ehidden.csv", ".git/d.csv", "%2Egit/d.csv", ".//.git//d.csv", ".git/*", ".*"]
)
def test_a_step_that_begins_with_a_dot_is_refused_unless_a_setting_allows_it(data, name):
    with pytest.raises(SourceNotAllowed, match=r"the step '\.(hidden\.csv|git|\*)', which begins with a dot"):
        locate(f"file://{data}/{name}", POINTER, source_rules(settings(data)), "default")
    assert set(below(data, name, allow_hidden_sources=True)) <= {".hidden.csv", ".git/d.csv"}
    with pytest.raises(SourceNotAllowed):
        read(data, ".git/d.csv")
    assert read(data, ".git/d.csv", hidden=True) == "d"


@pytest.mark.parametrize("pattern", ["[.]hidden.csv", "?hidden.csv", "**/d.csv", "[.]git/*", "*/d.csv"])
def test_no_pattern_finds_what_is_hidden(data, pattern):
    for allowed in (False, True):
        with pytest.raises(SourceNotFound):
            below(data, pattern, allow_hidden_sources=allowed)


def test_a_root_may_be_hidden_itself_and_the_nearest_root_counts(data):
    nested = settings(data, f"file://{data}/", f"file://{data}/.git/")
    assert (
        locate(f"file://{data}/.git/d.csv", POINTER, source_rules(nested), "default").root == f"{data}/.git"
    )


def test_links_are_never_followed(data, tmp_path):
    (data / "link.csv").symlink_to(tmp_path / "secret.csv")
    (data / "folder").symlink_to(tmp_path)
    for name in ("link.csv", "folder/secret.csv"):
        with pytest.raises(SourceUnreadable, match="symbolic link"):
            read(data, name)
        with pytest.raises(SourceUnreadable, match="symbolic link"):
            below(data, name)


@pytest.mark.parametrize("pattern", ["folder/*", "folder/s*.csv", "folder/**", "**/folder/*"])
def test_a_pattern_never_lists_what_lies_behind_a_link(data, tmp_path, pattern):
    (data / "folder").symlink_to(tmp_path)
    with pytest.raises(SourceUnreadable) as refused:
        below(data, pattern)
    assert refused.value.detail == f"file://{data}/folder cannot be opened: goes through a symbolic link"


def test_a_pattern_does_not_follow_links_to_folders(data):
    (data / "again").symlink_to(data / "in ner", target_is_directory=True)
    (data / "in ner" / "loop").symlink_to(data, target_is_directory=True)

    assert below(data, "**/c.csv") == ["in ner/c.csv"]
    assert below(data, "*/c.csv") == ["in ner/c.csv"]
    with pytest.raises(SourceUnreadable, match="again cannot be opened: goes through a symbolic link"):
        below(data, "*")  # it may be a file of the dataset


def test_only_regular_files_are_read_and_a_pipe_does_not_hang(data):
    os.mkfifo(data / "pipe")
    for name in ("pipe", "in ner"):
        with pytest.raises(SourceUnreadable, match="not a regular file"):
            read(data, name)
        with pytest.raises(SourceUnreadable, match="not a regular file"):
            below(data, name)


def test_what_is_missing_is_named(data):
    with pytest.raises(SourceNotFound, match="nothing-here does not exist"):
        read(data, "nothing-here")
    for pattern, words in [
        ("nothing/here", "here does not exist"),
        ("x-*.csv", "No file matches .*x-"),
        ("a.csv/*", "No file matches"),
    ]:
        with pytest.raises(SourceNotFound, match=words):
            below(data, "a.csv", pattern)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
def test_a_machine_in_trouble_says_nothing_about_the_file(data, monkeypatch, number):
    def in_trouble(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", in_trouble)
    with pytest.raises(StorageUnavailable, match="ulimit -n" if number == errno.EMFILE else "a.csv"):
        read(data, "a.csv")


@pytest.mark.parametrize(
    ("number", "error"), [(errno.EMFILE, StorageUnavailable), (errno.EACCES, SourceUnreadable)]
)
def test_a_folder_that_cannot_be_listed_is_an_error_and_not_a_folder_without_files(
    data, monkeypatch, number, error
):
    listed, inner = os.scandir, (data / "in ner").stat().st_ino

    def scandir(folder):
        if os.fstat(folder).st_ino == inner:
            raise OSError(number, os.strerror(number))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(below(data, "*.csv")) == 2
    with pytest.raises(error, match="in ner cannot be listed"):
        below(data, "**/*.csv")


# The service's own folders.


@pytest.fixture
def installed(data):
    """A data folder below the source, as the launcher makes it, with secrets, a log and uploads.

    And another name for each of its parts.
    """
    home = data / "gristmill"
    for name in (
        "postgres/password",
        "postgres/data/pg_hba.conf",
        "valkey/password",
        "logs/gateway.log",
        "storage/uploads/other/upl_1",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret")
    return home


def attacks(root, home):
    """Every file of the data folder by each of its names."""
    for secret in (path.relative_to(home) for path in home.rglob("*") if path.is_file()):
        yield from (
            f"file://{root}/gristmill/{secret}",
            f"file://{root}/gristmill//{'//'.join(secret.parts)}",
        )
        yield "file://" + "".join(
            f"%{ord(letter):02x}" if letter != "/" else letter for letter in f"{root}/gristmill/{secret}"
        )
        yield from (
            f"file://{root}/g*/{secret}",
            f"file://{root}/**/{secret.name}",
            f"file://{root}/gristmill/**",
        )
        yield from (
            f"file://{root}/[g]ristmill/{'/'.join('*' for _ in secret.parts)}",
            f"file://{root}/link/{secret}",
        )
        yield f"file://{root}/{quote('gristmill')}/{secret.parent}/{secret.name[0]}*"


def test_no_file_of_the_data_folder_can_be_read_by_any_name(data, installed):
    (data / "link").symlink_to(installed, target_is_directory=True)
    known = {"storage": installed / "storage", "protected_folders": [installed]}
    tried = list(attacks(data, installed))
    for uri in tried:
        settled = settings(data).model_copy(update=known)
        with (
            pytest.raises((SourceNotAllowed, SourceNotFound, SourceUnreadable)),
            LocalFiles(own_folders(settled), hidden=True) as local,
        ):
            find.find(local, [locate(uri, POINTER, source_rules(settled), "default")], 1000)
    assert len(tried) >= 40
    for secret in (path for path in installed.rglob("*") if path.is_file()):
        with pytest.raises(SourceNotAllowed, match="folder of the service itself"):
            read(data, str(secret.relative_to(data)), own=[str(installed)])


@pytest.mark.parametrize("part", ["", "postgres", "postgres/data", "storage/uploads"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_root_inside_the_data_folder_gives_nothing_away(installed, tmp_path, part, linked):
    root = installed / part
    if linked:
        (tmp_path / "other name").symlink_to(root, target_is_directory=True)
        root = tmp_path / "other name"
    with pytest.raises(SourceNotAllowed):
        read(root, "x", own=[str(installed)])


def test_a_part_of_the_data_folder_that_lies_elsewhere_is_protected_there_too(installed, tmp_path, data):
    (installed / "valkey").rename(data / "elsewhere")
    (installed / "valkey").symlink_to(data / "elsewhere", target_is_directory=True)
    with pytest.raises(SourceNotAllowed):
        read(data, "elsewhere/password", own=[str(installed)])


def test_the_rest_of_a_source_around_the_data_folder_is_found(data, installed):
    assert below(data, "**/*", protected_folders=[installed]) == ["a.csv", "b.csv", "in ner/c.csv"]


def test_an_upload_is_read_from_the_folder_that_no_source_leads_into(data, installed):
    known = settings(data, protected_folders=[installed]).model_copy(
        update={"storage": installed / "storage"}
    )
    with LocalFiles(own_folders(known), hidden=False) as local:
        [file], _ = find.find(local, [locate("upload:upl_1", POINTER, source_rules(known), "other")], 1000)
        os.close(local.file(Location(file.uri, file.root, file.below)))
        with pytest.raises(SourceNotFound, match=r"^upload:upl_2 does not exist$"):
            find.find(local, [locate("upload:upl_2", POINTER, source_rules(known), "other")], 1000)


def test_own_folders_whose_paths_are_no_text_reach_a_child(data):
    odd = data.parent / os.fsdecode(b"st\xe4tte")
    (odd / "uploads").mkdir(parents=True)
    access = Access.of(settings(data).model_copy(update={"storage": odd}))

    [*read] = msgspec.json.decode(msgspec.json.encode(access), type=Access).own_folders

    assert os.fsencode(odd) in {path[: len(os.fsencode(odd))] for path in read}


BOUND = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
inside, source, target = sys.argv[1:]
uid = os.getuid()
if libc.unshare(0x00020000 | (0x10000000 if uid else 0)):
    sys.exit(77)
if libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None):
    sys.exit(77)
if libc.mount(source.encode(), target.encode(), None, 0x1000, None):
    sys.exit(77)
sys.path.insert(0, inside)
from shared.errors import SourceNotAllowed
from shared.storage.sources import Location
from worker_service.inputs.local import LocalFiles
from worker_service.messages import Access
root, name = os.path.split(target)
assert os.path.exists(os.path.join(target, "password")) or os.path.exists(os.path.join(target, "postgres"))
for root, below in ((root, f"{name}/password"), (target, "password")):
    with LocalFiles([os.environ["OWN"]], hidden=False) as local:
        try:
            local.file(Location("file:///x", root, below))
        except SourceNotAllowed:
            continue
        sys.exit(1)
"""


@pytest.mark.parametrize("part", ["", "postgres"])
def test_a_bind_mount_is_no_other_way_in(data, installed, part):
    """In a namespace of its own; a kernel that allows none has no such way for a user either."""
    (data / "mounted").mkdir()
    places = [str(Path(__file__).parents[2]), str(installed / part), str(data / "mounted")]
    known = os.environ | {"OWN": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", BOUND, *places], env=known, capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("needs root, or a kernel that lets a process have mounts of its own")
    assert done.returncode == 0, done.stderr


# One walk for all patterns.


def counted(monkeypatch):
    """The folders that are listed from now on."""
    listed, scandir = [], os.scandir

    def scan(folder):
        listed.append(folder if isinstance(folder, str) else str(Path(f"/proc/self/fd/{folder}").readlink()))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    return listed


def test_each_folder_is_listed_once_for_all_patterns_together(data, monkeypatch):
    for no in range(20):
        (data / f"d{no}" / "e").mkdir(parents=True)
        (data / f"d{no}" / "e" / "x.csv").write_text("x")
    patterns = [
        "/".join(["**"] * 30 + ["*.csv"]),
        "**/**/e/**/*.csv",
        "**/x*",
        *(f"d{no}/**/*" for no in range(20)),
        "**/x.csv",
    ]
    listed = counted(monkeypatch)
    names = below(data, *patterns)

    inside = [folder for folder in listed if folder.startswith(str(data))]
    assert len(inside) == len(set(inside)) == 42
    assert len(names) == len(set(names)) == 23


def test_a_folder_is_listed_only_where_a_pattern_needs_it(data, monkeypatch):
    (data / "full").mkdir()
    listed = counted(monkeypatch)
    assert below(data, "a.csv", "in ner/*.csv") == ["a.csv", "in ner/c.csv"]
    assert [folder for folder in listed if folder.startswith(str(data))] == [str(data / "in ner")]


def test_many_patterns_over_one_folder_are_compared_by_their_beginnings(data, monkeypatch):
    """500 names with 500 patterns: each name is compared with one."""
    (data / "many").mkdir()
    for no in range(500):
        (data / "many" / f"{no:04}.csv").touch()
    monkeypatch.setattr(find, "MAX_COMPARISONS", 10_000)

    assert len(below(data, *(f"many/{no:04}*" for no in range(500)))) == 500


@pytest.mark.parametrize(("names", "comparisons"), [(20, 10_000_000), (1000, 500)])
def test_a_walk_that_takes_too_much_says_how_much_it_saw_and_where(data, monkeypatch, names, comparisons):
    for no in range(30):
        (data / "in ner" / f"x{no}.csv").touch()
    monkeypatch.setattr(find, "MAX_COMPARISONS", comparisons)
    with pytest.raises(
        LimitExceeded, match=rf"met \d+ names .*, the last in file://{data}/in ner; .*use fewer patterns"
    ):
        below(data, *(f"in ner/{'?' * no}*" for no in range(20)), max_names=names)


def test_names_that_are_looked_up_in_many_folders_are_counted_though_they_are_not_there(data, monkeypatch):
    for no in range(30):
        (data / f"d{no}").mkdir()
    monkeypatch.setattr(find, "MAX_COMPARISONS", 1200)
    with pytest.raises(LimitExceeded, match=r"in 1,\d\d\d comparisons"):
        below(data, *(f"*/x{no}" for no in range(20)))


def test_more_files_than_a_job_may_have_are_refused(data, monkeypatch):
    monkeypatch.setattr(find, "MAX_FILES", 1)
    with pytest.raises(LimitExceeded, match="more than 1 files"):
        below(data, "*.csv")


def test_a_walk_of_a_deep_tree_holds_one_folder_open(data, monkeypatch):
    deep = data.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    (deep / "x.csv").write_text("x")
    most, close, open_ = [0, 0], os.close, os.open

    def counting(*given, **named):
        most[0] += 1
        most[1] = max(most)
        return open_(*given, **named)

    def closing(descriptor):
        most[0] -= 1
        close(descriptor)

    monkeypatch.setattr(os, "open", counting)
    monkeypatch.setattr(os, "close", closing)
    assert below(data, "**/x.csv") == ["/".join(["d"] * 300 + ["x.csv"])]
    assert most[1] < 30


# The same file, counted once.


def test_a_file_that_several_uris_name_is_counted_once_and_the_warning_names_both(data):
    os.link(data / "a.csv", data / "in ner" / "z.csv")
    planned, warnings = found(data, f"file://{data}/b.csv", f"file://{data}/*.csv", f"file://{data}/**/*.csv")

    assert [file.below for file in planned] == ["b.csv", "a.csv", "in ner/c.csv"]
    root = f"file://{data}"
    assert warnings == tuple(
        Warned("duplicate_file", f"{detail}; it is counted once")
        for detail in [
            f"{root}/a.csv is named by {root}/*.csv and by {root}/**/*.csv",
            f"{root}/b.csv is named by {root}/b.csv and by {root}/*.csv",
            f"{root}/in ner/z.csv is the same file as {root}/a.csv",
        ]
    )


def test_there_are_at_most_a_hundred_warnings_and_always_the_same(data):
    for no in range(150):
        (data / f"x{no:03}.csv").touch()
    _, warnings = found(data, f"file://{data}/x*.csv", f"file://{data}/x*")
    assert [warning.detail.split("/x", 1)[1][:3] for warning in warnings] == [f"{no:03}" for no in range(100)]


# Names of every kind.


def test_a_name_that_is_not_utf_8_is_shown_escaped(data):
    (data / os.fsdecode(b"odd\xff.csv")).write_text("x")
    assert below(data, "a*.csv", "b*") == ["a.csv", "b.csv"]
    with pytest.raises(SourceUnreadable, match=r"/odd%FF\.csv has a name that is not UTF-8; rename"):
        below(data, "*.csv")


def test_the_uri_of_a_file_that_a_pattern_found_can_be_submitted(data):
    for name in ("50%.csv", "two\nlines.csv", "한글 &.csv", "50%25.csv"):
        (data / "in ner" / name).write_text(name)
    planned, _ = found(data, f"file://{data}/in ner/*")
    for file in planned:
        if "\n" not in file.below:  # which no spec may name
            assert [one.below for one in found(data, file.uri)[0]] == [file.below]
    assert f"file://{data}/in ner/two%0Alines.csv" in [file.uri for file in planned]


# Reading what was planned.


@pytest.fixture
def planned(data):
    for no in range(files.MAX_OPEN * 3):
        (data / f"n{no:03}.csv").write_text(str(no))
    return found(data, f"file://{data}/n*.csv")[0]


def test_however_many_files_there_are_few_are_open(planned):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    with LocalFiles([], hidden=False) as local, files.PlannedFiles(local, planned) as opened:
        for no, file in enumerate(opened.sources):
            assert os.pread(file.fd, 10, 0).decode() == str(no)
            assert descriptors() <= before + files.MAX_OPEN + 2
        assert os.pread(opened.sources[0].fd, 10, 0) == b"0"
    assert descriptors() == before


@pytest.mark.parametrize("when", ["before it is opened", "while it is open", "before it is opened again"])
def test_a_file_that_was_rewritten_in_place_with_its_time_restored_has_changed(data, planned, when):
    path = data / "n000.csv"
    before = path.stat()

    def rewrite():
        path.write_text("x")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def reading():
        with LocalFiles([], hidden=False) as local, files.PlannedFiles(local, planned) as opened:
            if when == "before it is opened":
                rewrite()
            _ = opened.sources[0].fd
            if when == "before it is opened again":
                _ = [file.fd for file in opened.sources[1:]]
            rewrite()
            _ = opened.sources[0].fd
            raise SourceUnreadable("what a file that changed leads to")

    with pytest.raises(SourceChanged, match=r"n000\.csv changed since the job was planned \(.*ctime_ns "):
        reading()


def test_a_plan_of_before_is_compared_by_what_it_has(data, planned):
    old = [msgspec.structs.replace(planned[0], ctime_ns=None)]
    (data / "n000.csv").chmod(0o600)
    with LocalFiles([], hidden=False) as local, files.PlannedFiles(local, old) as opened:
        assert os.pread(opened.sources[0].fd, 10, 0) == b"0"
