"""How expressions read texts as values of a type: by the grammar of the readers, or by a pattern."""

import numpy as np
import pyarrow as pa

from shared.spec.types import DataType, Field
from worker_service.arrow import Array, Mask, arrow_type
from worker_service.readers import literals


def parse_text(text: Array, target: DataType, layout: str | None, zone: str) -> tuple[Array, Mask | None]:
    field = Field("", target, declared=True)
    try:
        return literals.convert(text, field, zone), None
    except literals.Misfit:
        values, bad = [], np.zeros(len(text), np.bool_)
        for row in range(len(text)):
            try:
                values.append(literals.convert(text.slice(row, 1), field, zone)[0].as_py())
            except literals.Misfit:
                values.append(None)
                bad[row] = True
        return pa.array(values, arrow_type(target)), bad
