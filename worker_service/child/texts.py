"""How expressions read texts as values of a type."""

from shared.spec.column_text import ColumnText
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field
from worker_service.arrow import Array, Mask
from worker_service.kernels.expressions import ParseText
from worker_service.readers.literals import converted

_COLUMN = "text"


def text_parser(source: SourceSpec) -> ParseText:
    """Reads a text by the grammar of a declared column, or by a pattern.

    Of *source* only `ambiguous_times` counts: `csv` says nothing about the texts of expressions.
    """

    def parse(text: Array, target: DataType, layout: str | None, zone: str) -> tuple[Array, Mask | None]:
        how = ColumnText(type=str(target), format=() if layout is None else (layout,))
        plain = SourceSpec.model_construct(
            uris=(), types={_COLUMN: how}, timezone=zone, ambiguous_times=source.ambiguous_times
        )
        return tuple(converted(text, Field(_COLUMN, target, declared=True), plain))

    return parse
