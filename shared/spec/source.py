"""`source`: which files, and how they are read."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from shared.spec import values as v
from shared.spec.built import NOT_YET, Built, only
from shared.spec.part import Part, raise_faults, repeated
from shared.spec.uris import is_supported


class CsvOptions(Part):
    quote: Annotated[v.Character, Built(str.isascii, "only ASCII quotes are supported yet")] = '"'
    delimiter: Annotated[v.Character, Built(str.isascii, "only ASCII delimiters are supported yet")] = ","
    escape: Annotated[v.Character | None, NOT_YET] = None
    header: v.Flag = True
    names: Annotated[tuple[v.ColumnName, ...], Field(max_length=10_000), v.NOT_EMPTY] | None = None
    encoding: Annotated[v.Encoding, only("utf-8")] = "utf-8"
    null_values: Annotated[tuple[v.NullValue, ...], Field(max_length=1000)] = ()
    comment: Annotated[v.Character | None, NOT_YET] = None

    @field_validator("delimiter")
    @classmethod
    def _not_the_quote(cls, delimiter: str, info: ValidationInfo) -> str:
        if delimiter == info.data.get("quote"):
            raise v.fault("the delimiter and the quote are the same character")
        return delimiter

    @field_validator("names")
    @classmethod
    def _distinct_and_headerless(cls, names: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if names is not None and info.data.get("header"):
            raise v.fault("names are for files without a header; set header to false")
        raise_faults(repeated(((i,), name) for i, name in enumerate(names or ())))
        return names


class SourceSpec(Part):
    uris: Annotated[
        tuple[v.Uri, ...],
        Field(max_length=10_000),
        v.NOT_EMPTY,
        Built(is_supported, "only upload: and file:// sources are supported yet", each=True),
    ]
    format: Annotated[Literal["auto", "csv", "ndjson", "parquet"], only("auto", "csv", "parquet")] = "auto"
    compression: Annotated[
        Literal["auto", "none", "gzip", "zip", "zstd", "bzip2", "xz", "lz4", "snappy"],
        only("auto", "none", "gzip", "zip"),
    ] = "auto"
    csv: CsvOptions = CsvOptions()
    types: Annotated[dict[v.ColumnName, v.TypeName], Field(default_factory=dict)]
    timezone: v.TimeZone = "UTC"

    @field_validator("csv")
    @classmethod
    def _only_for_csv(cls, csv: CsvOptions, info: ValidationInfo) -> CsvOptions:
        if info.data.get("format") == "parquet" and csv != CsvOptions():
            raise v.fault("these options mean nothing for Parquet")
        return csv
