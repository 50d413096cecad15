"""The names of results in SQL are those that SQLAlchemy quotes, which makes the tables and views."""

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from shared.core.relations import TABLES, relation_name

QUOTE = postgresql.dialect().identifier_preparer.quote


@pytest.mark.parametrize("name", [*sorted(RESERVED_WORDS), "sales", "a1_b", "lateral", "user_"])
def test_a_view_is_quoted_as_the_statement_that_makes_it_quotes_it(name):
    assert relation_name("default", name, "job_1") == f"results.{QUOTE(name)}"


def test_a_tenant_has_a_schema_of_its_own_and_a_result_without_a_name_is_its_table():
    assert relation_name("acme", "sales", "job_1") == "results_acme.sales"
    assert relation_name("acme", None, "job_1") == f"{TABLES}.job_1"
