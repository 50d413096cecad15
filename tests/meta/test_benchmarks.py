"""The benchmarks are not run by the tests; what they import must exist all the same."""

import pkgutil
from importlib import import_module

import pytest

import benchmarks


@pytest.mark.parametrize("name", sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__)))
def test_a_benchmark_can_be_imported(name):
    import_module(f"benchmarks.{name}")
