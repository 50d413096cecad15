import json
import re
from pathlib import Path

from pydantic import BaseModel

from shared.spec.encodings import SHARED, WIDE, normal_encoding
from shared.spec.functions import FUNCTIONS
from shared.spec.models import AggregateSpec, CsvOptions, Options, OutputSpec, SourceSpec
from shared.spec.objects import Supported
from shared.spec.parse import KEYS, parse_spec

PAGE = (Path(__file__).parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


def row_of(key: str) -> str:
    return next(row for row in ROWS if f"`{key}`" in row.split(" | ")[0])


def written(value: object) -> object:
    """As JSON, with every key of every object; an aggregate has the parameters of its function."""
    if isinstance(value, BaseModel):
        keys = {info.alias or name: getattr(value, name) for name, info in type(value).model_fields.items()}
        return {
            key: written(found)
            for key, found in keys.items()
            if found is not None or not isinstance(value, AggregateSpec)
        }
    return list(map(written, value)) if isinstance(value, tuple) else value


def test_the_documented_spec_has_every_key_with_its_default():
    block = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0]
    least = {"source": {"uris": ["upload:upl_01k5w9"]}, "group_by": ["country"]}
    spec = parse_spec(json.dumps(least | {"aggregates": [{"fn": "std", "column": "amount"}]}).encode())
    assert json.loads(block) == written(spec)
    assert parse_spec(block.encode()) == spec


def test_the_first_example_is_accepted():
    example = PAGE.split("are required:\n\n")[1].split("\n\nThe whole")[0]
    parse_spec(example.encode())


def test_every_key_is_documented():
    assert not [
        key for keys in KEYS.values() for key in keys if f'"{key}"' not in PAGE and f"`{key}`" not in PAGE
    ]


def test_every_function_is_documented():
    assert all(row_of(name) for name in FUNCTIONS)
    assert not [row_of(name) for name in FUNCTIONS if "**Not yet**" in row_of(name)]


def test_the_page_marks_the_keys_that_are_not_fully_supported():
    parts: list[tuple[str, type[BaseModel]]] = [
        ("", SourceSpec),
        ("", CsvOptions),
        ("", OutputSpec),
        ("options.", Options),
    ]
    for prefix, part in parts:
        for name, info in part.model_fields.items():
            marked = any(isinstance(mark, Supported) for mark in info.metadata)
            assert ("not yet" in row_of(f"{prefix}{name}").lower()) == marked, name


def test_the_page_lists_the_encodings():
    listed = PAGE.split("The encodings are ")[1].split("They may")[0]
    assert sorted(map(normal_encoding, re.findall(r"`(.+?)`", listed))) == sorted((*SHARED, *WIDE))
