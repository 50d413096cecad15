import pytest

from shared.errors import GristmillError, InternalError, SchemaWidened, from_problem, subclasses

CAUSES = [cls for cls in subclasses() if "code" in vars(cls) and cls not in {GristmillError, SchemaWidened}]


@pytest.mark.parametrize("cls", CAUSES)
def test_an_error_crosses_a_process_border_as_itself(cls):
    problem = cls("what, where, what to do", pointer="#/x").problem()
    found = from_problem(problem)

    assert type(found) is cls
    assert found.problem() == problem


def test_an_unknown_code_is_an_internal_error():
    assert type(from_problem({"code": "from_the_future", "detail": "x", "errors": []})) is InternalError
