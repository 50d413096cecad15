"""`source`: which files, and how they are read."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from shared.spec import values as v
from shared.spec.column_text import ColumnText, mark_faults
from shared.spec.encodings import SHARED
from shared.spec.faults import Location, fault, raise_faults, repeated
from shared.spec.objects import ADDED, SpecObject, Supported, supports_only
from shared.spec.types import DataType, parse_type
from shared.spec.uris import is_supported

_ASCII = Supported(
    lambda character: character is None or character.isascii(), "only ASCII characters are supported yet"
)
_SPECIAL = ("quote", "delimiter", "escape", "comment")


class CsvOptions(SpecObject):
    """How CSV is written. `delimiter` is `auto`, or 1 to 4 ASCII characters."""

    delimiter: v.Delimiter = "auto"
    quote: Annotated[v.Character | None, _ASCII] = '"'
    escape: Annotated[v.Character | None, _ASCII] = None
    header: v.Flag = True
    names: Annotated[tuple[v.ColumnName, ...], v.at_most(10_000), v.NOT_EMPTY] | None = None
    encoding: v.Encoding = "utf-8"
    null_values: Annotated[tuple[v.NullValue, ...], v.at_most(1000)] = ()
    comment: Annotated[v.Character | None, _ASCII] = None
    skip_rows: Annotated[v.Count, ADDED] = 0
    skip_footer: Annotated[v.Count, ADDED] = 0
    trim: Annotated[v.Flag, ADDED] = False
    decimal: Annotated[v.Character, ADDED] = "."
    thousands: Annotated[v.Character | None, ADDED] = None
    short_rows: Annotated[Literal["bad_row", "null"], ADDED] = "bad_row"

    @field_validator("names")
    @classmethod
    def _distinct_and_headerless(
        cls, names: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        if names is not None and info.data.get("header"):
            raise fault(
                "names are for files without a header; set header to false, "
                "and skip_rows so that it passes over the header if there is one"
            )
        raise_faults(repeated(((i,), name) for i, name in enumerate(names or ())))
        return names

    @model_validator(mode="after")
    def _distinct_characters(self) -> Self:
        raise_faults(chain(self._ambiguous(), mark_faults(self.decimal, self.thousands)))
        return self

    def _ambiguous(self) -> Iterator[tuple[Location, str]]:
        """Every special character that is also another, or whose byte can be a part of another character."""
        taken: dict[str, str] = {}
        for name in _SPECIAL:
            characters: str | None = getattr(self, name)
            if characters is None or characters == "auto":
                continue
            for other, of in taken.items():
                if set(characters) & set(other):
                    same = "are the same character" if characters == other else "have a character in common"
                    yield (name,), f"the {of} and the {name} {same}"
            if any(character in SHARED.get(self.encoding, "") for character in characters):
                advice = "its byte can be a part of another character; convert the files to UTF-8"
                yield (name,), f"in {self.encoding} {advice}"
            taken.setdefault(characters, name)


def _is_object(given: object) -> bool:
    return isinstance(given, dict | ColumnText)


def _type_kind(value: object) -> str:
    return "object" if _is_object(value) else "name"


ColumnType = Annotated[
    Annotated[v.TypeName, Tag("name")] | Annotated[ColumnText, Tag("object")], Discriminator(_type_kind)
]


class ParquetOptions(SpecObject):
    nanoseconds: Literal["fail", "truncate"] = "fail"


class XlsxOptions(SpecObject):
    """`sheet` is a name, or a number from 1."""

    sheet: v.Spelling | Annotated[v.Integer, Field(ge=1)] = 1


FORMATS_OF = {"csv": ("csv", "tsv"), "parquet": ("parquet", "arrow"), "xlsx": ("xlsx",)}
"""The objects of options in `source`, and the formats that each is for."""


def idle_options(name: str, options: SpecObject, found: str, told: str) -> Iterator[tuple[Location, str]]:
    """A fault for each of *options*, those of `source.<name>`, that means nothing for the format *found*.

    *told* names the file that has that format. A `delimiter` of "," is no fault: version 1 stored it always.
    """
    if found in FORMATS_OF[name]:
        return
    for key, info in type(options).model_fields.items():
        given = getattr(options, key)
        if given != info.default and (key, given) != ("delimiter", ","):
            formats = " and ".join(FORMATS_OF[name])
            yield (key,), f"source.{name}.{key} is for {formats}, and {told} is {found}: leave it out"


def own_mark_faults(text: ColumnText, csv: CsvOptions) -> Iterator[tuple[Location, str]]:
    """The faults of a column's own marks beside the defaults of the file."""
    if parse_type(text.type).kind in {"int64", "float64", "decimal"}:
        marks = text.decimal or csv.decimal, text.thousands or csv.thousands
        yield from mark_faults(*marks, text.strip)


class SourceSpec(SpecObject):
    uris: Annotated[
        tuple[v.Uri, ...],
        v.at_most(10_000),
        v.NOT_EMPTY,
        Supported(is_supported, "only upload: and file:// sources are supported yet", each=True),
    ]
    format: Literal["auto", "csv", "tsv", "ndjson", "parquet", "arrow", "xlsx"] = "auto"
    compression: Annotated[
        Literal["auto", "none", "gzip", "zip", "zstd", "bzip2", "xz", "lz4", "snappy"],
        supports_only("auto", "none", "gzip", "zip", "zstd", "bzip2", "xz", "lz4"),
    ] = "auto"
    csv: CsvOptions = CsvOptions()
    types: Annotated[dict[v.ColumnName, ColumnType], Field(default_factory=dict)]
    timezone: v.TimeZone = "UTC"
    ambiguous_times: Annotated[Literal["bad_row", "earliest", "latest"], ADDED] = "bad_row"
    partitions: Annotated[Literal["hive"] | None, ADDED] = None
    file_column: Annotated[v.ColumnName | None, ADDED] = None
    missing_columns: Annotated[Literal["fail", "null"], ADDED] = "fail"
    parquet: Annotated[ParquetOptions, ADDED] = ParquetOptions()
    xlsx: Annotated[XlsxOptions, ADDED] = XlsxOptions()

    @field_validator(*FORMATS_OF)
    @classmethod
    def _of_the_format(cls, options: SpecObject, info: ValidationInfo) -> SpecObject:
        named = info.data.get("format", "auto")
        if named != "auto" and info.field_name:
            raise_faults(idle_options(info.field_name, options, named, "source.format"))
        if named == "tsv" and isinstance(options, CsvOptions) and options.delimiter not in ("auto", "\t"):
            raise fault('the delimiter of "tsv" is the tab; set format to "csv"')
        return options

    @model_validator(mode="after")
    def _distinct_marks(self) -> Self:
        """A column's own marks beside the defaults of the file."""
        given = ((name, text) for name, text in self.types.items() if isinstance(text, ColumnText))
        raise_faults(
            (("types", name, "object", *at), detail)
            for name, text in given
            for at, detail in own_mark_faults(text, self.csv)
        )
        return self

    def written(self, column: str, inferred: DataType) -> ColumnText:
        """How the values of *column* are written, with every default of `csv` filled in.

        *inferred* is its type if none is declared.
        """
        given = self.types.get(column, str(inferred))
        defaults = {name: getattr(self.csv, name) for name in ("decimal", "thousands", "trim")}
        if not isinstance(given, ColumnText):
            return ColumnText.model_construct(type=given, **defaults)
        missing = {name: value for name, value in defaults.items() if getattr(given, name) is None}
        return given.model_copy(update=missing)

    @property
    def declared(self) -> dict[str, DataType]:
        """The declared type of each column that has one."""
        return {
            name: parse_type(given if isinstance(given, str) else given.type)
            for name, given in self.types.items()
        }
