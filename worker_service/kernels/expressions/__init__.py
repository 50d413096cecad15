"""Expressions over columns: vectorized, exact, and with an error for each row that has one."""

from worker_service.kernels.expressions.evaluate import Evaluated, ParseText, evaluate, probe

__all__ = ["Evaluated", "ParseText", "evaluate", "probe"]
