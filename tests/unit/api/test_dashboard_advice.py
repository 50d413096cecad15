"""Texts of a sample that look like numbers or days."""

import pytest

from api_service.dashboard.advice import _of_column


@pytest.mark.parametrize(
    ("texts", "cure"),
    [
        (["1,5", "2,25"], {"type": "float64", "decimal": ","}),
        (["1.000,5", ""], {"type": "float64", "decimal": ",", "thousands": "."}),
        (["31.12.2024"], {"type": "date", "format": ["%d.%m.%Y"]}),
        (["31/12/2024", "1/2/2024"], {"type": "date", "format": ["%d/%m/%Y"]}),
        (["1/31/2024"], {"type": "date", "format": ["%m/%d/%Y"]}),
        (["1/2/2024"], {}),
        (["13/13/2024"], {}),
        (["5 EUR", "N/A"], {"type": "float64", "strip": "URE ", "null_values": ["N/A"]}),
        (["$1,200.50", "-$3"], {"type": "float64", "strip": "$", "thousands": ","}),
        (["1,234,567", "5"], {"type": "float64", "thousands": ","}),
        (["1.234,500"], {"type": "float64", "decimal": ",", "thousands": "."}),
        (["1,234", "12,500"], {}),
        (["1,234", "5"], {}),
        (["12,50", "5"], {}),
        (["\N{MINUS SIGN}5", "3.5"], {}),
        (["<5", "12"], {}),
        (["12 USD", "5 EUR"], {}),
        (["$5", "5%"], {}),
    ],
)
def test_texts_that_are_all_alike_have_a_cure(texts, cure):
    [found] = _of_column("a", texts)
    assert found.cure == cure
    assert found.told.startswith("a looks like ")
    assert bool(cure) == ("declare" not in found.told)


@pytest.mark.parametrize("texts", [[], ["-"], ["0123", "0042"], ["1,5", "Oslo"], ["1,5", "31.12.2024"]])
def test_other_texts_have_none(texts):
    assert _of_column("a", texts) == []
