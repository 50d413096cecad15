"""Any names of columns have names in Python that differ and that Python and Django take."""

import keyword
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from gristmill.models.columns import attributes

NAMES = st.lists(
    st.text(min_size=1, max_size=6) | st.sampled_from(["id", "id_column", "class", "a b", "a_b", "a_b_2"]),
    unique=True,
    max_size=8,
)


@given(NAMES)
@example(["x\u0b72", "\u00b2", "\u2460", "x\u00aa"])
@example(["id", "id_column", "a b", "a_b", "a-b"])
def test_each_column_gets_a_name_of_its_own(names):
    given = attributes(names, frozenset({"id"}))
    assert len(given) == len(names) == len(set(given))
    for name, attribute in zip(names, given, strict=True):
        assert attribute.isidentifier()
        assert not keyword.iskeyword(attribute)
        assert unicodedata.normalize("NFKC", attribute) == attribute
        assert attribute != "id"
        assert "__" not in attribute
        assert attribute.strip("_") == attribute
        plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and name != "id"
        if plain and "__" not in name and name.strip("_") == name:
            assert attribute == name
