"""examples/flights.ipynb, executed at the service of GRISTMILL_URL.

`python -m tests.support.notebook` writes it anew with its outputs.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FILE = Path(__file__).parents[2] / "examples" / "flights.ipynb"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Without the version of Python, which is that of a machine."""
SECONDS = 120
_ID = re.compile(r"\b[a-z]+_[0-9a-hjkmnp-tv-z]{26}\b|(?<= version )\d+")


def stored() -> Any:
    return nbformat.read(FILE, as_version=nbformat.NO_CONVERT)


def executed() -> Any:
    """The notebook with new outputs; raises CellExecutionError for a cell that fails."""
    notebook = stored()
    NotebookClient(
        notebook,
        timeout=SECONDS,
        record_timing=False,
        kernel_name="python3",
        resources={"metadata": {"path": str(FILE.parent)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def outputs(notebook: Any) -> list[list[Any]]:
    """The outputs of each cell without ids and versions, and of pictures only their kind."""
    return [[_plain(output) for output in cell.outputs] for cell in notebook.cells if "outputs" in cell]


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: key if key.startswith("image/") else _plain(inner) for key, inner in value.items()}
        case list():
            return [*map(_plain, value)]
        case str():
            return _ID.sub("…", value)
        case _:
            return value


if __name__ == "__main__":
    nbformat.write(executed(), FILE)
