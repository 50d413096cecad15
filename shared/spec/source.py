"""`source`: which files, and how they are read."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.spec import values as v
from shared.spec.encodings import SHARED
from shared.spec.faults import Location, fault, raise_faults, repeated
from shared.spec.objects import SpecObject, Supported, supports_only
from shared.spec.uris import is_supported

_ASCII = Supported(
    lambda character: character is None or character.isascii(), "only ASCII characters are supported yet"
)
_SPECIAL = ("quote", "delimiter", "escape", "comment")


class CsvOptions(SpecObject):
    delimiter: Annotated[v.Character, _ASCII] = ","
    quote: Annotated[v.Character | None, _ASCII] = '"'
    escape: Annotated[v.Character | None, _ASCII] = None
    header: v.Flag = True
    names: Annotated[tuple[v.ColumnName, ...], v.at_most(10_000), v.NOT_EMPTY] | None = None
    encoding: v.Encoding = "utf-8"
    null_values: Annotated[tuple[v.NullValue, ...], v.at_most(1000)] = ()
    comment: Annotated[v.Character | None, _ASCII] = None

    @field_validator("names")
    @classmethod
    def _distinct_and_headerless(
        cls, names: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        if names is not None and info.data.get("header"):
            raise fault("names are for files without a header; set header to false")
        raise_faults(repeated(((i,), name) for i, name in enumerate(names or ())))
        return names

    @model_validator(mode="after")
    def _distinct_characters(self) -> Self:
        raise_faults(self._ambiguous())
        return self

    def _ambiguous(self) -> Iterator[tuple[Location, str]]:
        """Every special character that is also another, or whose byte can be a part of another character."""
        taken: dict[str, str] = {}
        for name in _SPECIAL:
            character: str | None = getattr(self, name)
            if character is None:
                continue
            if character in taken:
                yield (name,), f"the {taken[character]} and the {name} are the same character"
            if character in SHARED.get(self.encoding, ""):
                advice = "its byte can be a part of another character; convert the files to UTF-8"
                yield (name,), f"in {self.encoding} {advice}"
            taken.setdefault(character, name)


class SourceSpec(SpecObject):
    uris: Annotated[
        tuple[v.Uri, ...],
        v.at_most(10_000),
        v.NOT_EMPTY,
        Supported(is_supported, "only upload: and file:// sources are supported yet", each=True),
    ]
    format: Annotated[
        Literal["auto", "csv", "ndjson", "parquet"], supports_only("auto", "csv", "parquet")
    ] = "auto"
    compression: Annotated[
        Literal["auto", "none", "gzip", "zip", "zstd", "bzip2", "xz", "lz4", "snappy"],
        supports_only("auto", "none", "gzip", "zip"),
    ] = "auto"
    csv: CsvOptions = CsvOptions()
    types: Annotated[dict[v.ColumnName, v.TypeName], Field(default_factory=dict)]
    timezone: v.TimeZone = "UTC"

    @field_validator("csv")
    @classmethod
    def _only_for_csv(cls, csv: CsvOptions, info: ValidationInfo) -> CsvOptions:
        if info.data.get("format") == "parquet" and csv != CsvOptions():
            raise fault("these options mean nothing for Parquet")
        return csv
