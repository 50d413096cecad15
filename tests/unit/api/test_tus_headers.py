"""Headers of the tus protocol, and names of files."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_service.wire import tus
from api_service.wire.filenames import sane_filename
from shared.errors import BadRequest, PayloadTooLarge


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        (None, None),
        ("", None),
        ("a.csv", "a.csv"),
        ("C:\\data\\a.csv", "a.csv"),
        ("/etc/passwd", "passwd"),
        ("dir/", None),
        ("..", None),
        (" a b .csv ", "a b .csv"),
        ("a\x00\n\u202e\ud800.csv", "a.csv"),
        ("é" * 256, "é" * 255),
        ("é" * 254 + " x", "é" * 254),
    ],
)
def test_a_name_keeps_its_last_step_and_what_can_be_printed(sent, known):
    assert sane_filename(sent) == known


@given(st.text())
def test_any_name_becomes_one_that_is_taken_as_a_parameter_too(sent):
    name = sane_filename(sent)

    assert name is None or (1 <= len(name) <= 255 and name.isprintable() and sane_filename(name) == name)


@given(st.dictionaries(st.sampled_from(["filename", "filetype", "x"]), st.text(max_size=9)))
def test_metadata_is_read_as_clients_write_it(pairs):
    header = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())

    assert tus.filename_of(header) == sane_filename(pairs.get("filename"))


@pytest.mark.parametrize("header", ["filename %", "filename a", "filename YQ==,other !", "é"])
def test_metadata_that_cannot_be_read_is_refused(header):
    with pytest.raises(BadRequest, match="Upload-Metadata"):
        tus.filename_of(header)


@pytest.mark.parametrize("sent", ["", "-1", "+1", "1.0", " 1", "1_0", "٣", "9" * 19])
def test_an_offset_is_a_whole_number(sent):
    with pytest.raises(BadRequest, match="Upload-Offset"):
        tus.upload_offset({"Upload-Offset": sent})


def test_a_size_of_many_digits_is_too_large_and_not_malformed():
    with pytest.raises(PayloadTooLarge, match=str(2**70)):
        tus.upload_length({"Upload-Length": str(2**70)}, 2**40)
