"""A damaged file is an error of the file: never a bug of Gristmill, a hang or rows that do not add up."""

import json
import subprocess
import sys

import pytest

from worker_service.executors.processes.template import child_environment

FAULTS = {
    "corrupt_file", "bad_row", "invalid_encoding", "source_empty", "not_supported", "limit_exceeded",
    "out_of_memory",
    "unknown_column", "type_mismatch", "ambiguous_delimiter",
}  # fmt: skip


def check(seed, **counts):
    asked = [str(word) for pair in counts.items() for word in pair]
    command = [sys.executable, "-m", "tests.support.mutations", str(seed), *asked]
    said = subprocess.run(command, env=child_environment(), check=True, capture_output=True, text=True).stdout
    for kind, found in json.loads(said).items():
        crashed = {outcome for outcome in found if outcome.startswith("signal")}
        # The Parquet reader is native code; docs/reliability.md says how a crash ends.
        assert not crashed or kind == "parquet"
        assert set(found) - crashed <= FAULTS | {"ok"}, found
        assert found.keys() & FAULTS, "nothing was damaged"


# fault matrix: 53
def test_a_damaged_file_is_an_error_of_that_file():
    check(1, parquet=60, zip=30, gzip=20, packed=20, csv=20)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["parquet", "zip", "gzip", "packed", "csv"])
def test_more_than_a_thousand_damaged_files_are_errors_of_those_files(kind):
    check(2, **{kind: 1500})
