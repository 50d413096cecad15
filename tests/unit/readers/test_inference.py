"""The kinds of columns over many files: a file costs little, and the answer depends on no order."""

import random
from itertools import product

import pyarrow as pa
import pytest

from tests.support.datasets import source
from worker_service.readers.inference import Samples, Use, kind_of

POOLS = [
    ["1", "-7", "0"],
    ["9007199254740993", "12"],
    ["1.5", "2", "1e5"],
    ["true", "False"],
    ["2024-01-02", "2023-12-31"],
    ["2024-01-02T03:04:05", "2024-01-02"],
    ["2024-01-02 03:04:05Z", "2024-05-06 00:00:00+01:00"],
    ["x", "1"],
    ["007"],
    ["NA", " "],
    [None],
    ["1,5", "2.000,5"],
]


OPTIONS = [{}, {"trim": True, "null_values": ["NA"]}, {"decimal": ",", "thousands": "."}]


@pytest.mark.parametrize("csv", OPTIONS, ids=str)
@pytest.mark.parametrize("key", [True, False])
def test_the_kind_of_many_files_is_that_of_each_joined_in_any_order(csv, key):
    draw, spec, use = random.Random(5), source(**csv), Use("x", key)
    for _ in range(60):
        files = [
            pa.array(draw.choices([*draw.choice(POOLS), None], k=draw.randrange(1, 4)), pa.string())
            for _ in range(draw.randrange(1, 5))
        ]
        found = set()
        orders = (files, files[::-1], draw.sample(files, len(files)))
        for order, told in product(orders, (True, False)):
            samples = Samples([use], spec)
            for text in order:  # told the kind of each file, it looks at no other one
                samples.add({"x": text}, {"x": kind_of(text, use, spec)} if told else {})
            found.add(samples.types[use])
        assert len(found) == 1, files
