"""Names of files as clients send them beside the bytes."""

MAX_CHARACTERS = 255


def sane_filename(sent: str | None) -> str | None:
    """The last step of the path, without characters that cannot be printed, cut to 255; None if none is left.

    A browser or a tus client names a file as the user's machine does, so nothing of it is an error.
    """
    last = (sent or "").replace("\\", "/").rpartition("/")[2]
    name = "".join(filter(str.isprintable, last)).strip()[:MAX_CHARACTERS].strip()
    return None if name in {"", ".", ".."} else name
