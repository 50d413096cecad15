"""The parts of paths that name things."""

from shared.spec.values import RESULT_NAME

ID = "{id:[a-z0-9_]{1,64}}"
NAME = f"{{name:{RESULT_NAME.pattern}}}"
