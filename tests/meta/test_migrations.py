"""The services know the newest migration without Alembic."""

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory

from shared.db.head import head
from shared.db.migrate import config


def test_the_head_is_alembics():
    assert head() == ScriptDirectory.from_config(config()).get_current_head()


@pytest.mark.parametrize("module", ["api_service.server", "worker_service.worker"])
def test_a_service_starts_without_alembic(module):
    loaded = (
        f"import {module}, shared.db.head, sys; shared.db.head.head(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
