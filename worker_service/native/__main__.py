"""`python -m worker_service.native`: the variant in use and the reason for none, as JSON."""

# ruff: noqa: T201  # the answer is standard output

import json
import sys

from shared.errors import InternalError
from worker_service.native.library import absence, variant

try:
    print(json.dumps({"variant": variant(), "absence": absence()}))
except InternalError as error:
    sys.exit(str(error))
