"""The schema of a dataset of any format: the columns in use, their types joined over its files."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from shared.core.plan import Extent, Warned
from shared.core.warnings import MAX_WARNINGS
from shared.errors import SchemaConflict
from shared.spec.names import closest, listed, quote
from shared.spec.source import SourceSpec
from shared.spec.types import INT64, KEY_MARK, NULL, DataType, Field, Schema, join
from shared.spec.uris import split_member
from shared.spec.uses import Uses
from worker_service.readers.inference import Use
from worker_service.readers.paths import path_texts, proposed


class Findings(NamedTuple):
    """The findings of a format's planner: the schema, every extent with its size in uncompressed bytes.

    Extents are in file order. The schema lacks the columns of `paths`. `culprits` has, by column, the values
    that make it text although most are not, and the cure.
    """

    schema: Schema
    extents: list[tuple[Extent, int]]
    warnings: tuple[Warned, ...] = ()
    culprits: Mapping[str, str] = MappingProxyType({})


def columns_in_files(
    files: Sequence[tuple[str, Collection[str]]],
    source: SourceSpec,
    uses: Uses,
    hint: Callable[[str], str] = lambda _: "",
    apart: Callable[[Collection[str], str], str] = lambda _, __: "",
) -> tuple[tuple[str, ...], tuple[Warned, ...]]:
    """The columns in use that the files hold, and a warning for each that is null in some of them.

    Each of *files* is its URI and the names of its columns; files of one header should share their object.
    *hint* may say more about an unknown name. *apart* is the cure for a file that has a column and not as
    one, by its names. Raises UnknownColumn, and SchemaConflict for a file that lacks a column in use.
    """
    distinct = {id(names): dict.fromkeys(names) for _, names in files}
    known = dict.fromkeys(chain.from_iterable(distinct.values()))
    texts = {uri: path_texts(uri, source) for uri, _ in files}
    by_path = dict.fromkeys(chain.from_iterable(texts.values()))
    if source.file_column in known:
        told = f"the files have a column {quote(source.file_column)}"
        raise SchemaConflict(f"{told}; choose another name for source.file_column")
    uses.check([*known, *by_path], lambda name: proposed(name, texts) or hint(name))
    lacks: dict[tuple[int, str], list[str]] = {}
    for uri, names in files:
        present, in_path = distinct[id(names)], texts[uri]
        missing = [name for name in uses.columns if name not in present and name not in in_path]
        if missing and source.missing_columns == "fail":
            whole = {
                other
                for other, held in files
                if all(name in distinct[id(held)] or name in texts[other] for name in uses.columns)
            }
            members = _members_alone(split_member(uri)[0], texts, whole)
            raise SchemaConflict(_lacking(uri, list(present), missing, apart(names, missing[0]), members))
        for name in missing:
            lacks.setdefault((id(names), name), []).append(uri)
    warnings = (
        _null_in(uris, list(distinct[of]), name) for (of, name), uris in islice(lacks.items(), MAX_WARNINGS)
    )
    return tuple(name for name in uses.columns if name not in by_path), tuple(warnings)


def _lacking(uri: str, present: list[str], missing: list[str], cure: str, members: str) -> str:
    told = f"{uri} lacks {listed(missing)}: it has {listed(present)}"
    meant = closest(missing[0], present)
    if not cure:
        cure = 'set source.missing_columns to "null" to read them as null there'
        if members:
            cure = f"name the members that have them, such as {members}, or {cure}"
        if meant:
            same = f"if its {quote(meant)} is {quote(missing[0])}, rename it or give the file to another job"
            cure = f"{same}; else {cure}"
    return f"{told}; {cure}"


def _members_alone(archive: str, uris: Iterable[str], wanted: Collection[str]) -> str:
    """A URI for members of *archive* among *wanted* and none of the other *uris*; empty if there is none."""
    members = [
        (uri, PurePosixPath(member).suffix)
        for uri in uris
        for of, member in [split_member(uri)]
        if member and of == archive
    ]
    others = {suffix for uri, suffix in members if uri not in wanted}
    found = [(uri, suffix) for uri, suffix in members if uri in wanted]
    patterns = (f"{archive}!/*{suffix}" for _, suffix in found if suffix and suffix not in others)
    return next(patterns, found[0][0] if found else "")


def _null_in(uris: list[str], present: list[str], name: str) -> Warned:
    others = f" and {len(uris) - 1} more of its columns" if len(uris) > 1 else ""
    meant = closest(name, present)
    doubt = f"; its {quote(meant)} may be the same column" if meant else ""
    told = f"{quote(name)} is null in {uris[0]}{others}, which has {listed(present)}"
    return Warned("missing_column", f"{told}{doubt}", name)


def settled(
    columns: Iterable[str],
    declared: Mapping[str, DataType],
    types: Mapping[Use, DataType],
    reads: Mapping[str, str] = MappingProxyType({}),
) -> Schema:
    """The schema of *columns*: the ones *declared* by the spec, the others with the *types* of their data.

    *reads* has the sort of value of undeclared columns: see `Field`.

    A column without any value becomes int64. Nulls are the same in every type, and every aggregate accepts
    int64. It can still widen where a value turns up later. A string could not.
    """
    fields: list[Field] = []
    for name in columns:
        if name in declared:
            fields.append(Field(name, declared[name], declared=True))
        for use in (Use(name, key=True), Use(name, key=False)):
            if use in types and name not in declared:
                mark = KEY_MARK if use.key and Use(name, key=False) in types else ""
                kind = INT64 if types[use] == NULL else types[use]
                fields.append(
                    Field(mark + name, kind, key=use.key, reads="" if use.key else reads.get(name, ""))
                )
    return Schema(tuple(fields))


def wider(left: DataType, right: DataType) -> DataType | None:
    """The type that holds the values of both without turning them into text; None if there is none."""
    if left == right or NULL in {left, right}:
        return right if left == NULL else left
    if left.kind == right.kind == "decimal":
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        return DataType("decimal", whole + scale, scale) if whole + scale <= 38 else None
    kind = join(left.kind, right.kind)
    return None if kind == "string" else DataType(kind)
