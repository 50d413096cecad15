"""docs/settings.md lists every setting with its meaning."""

from pathlib import Path

from shared.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()


def test_every_setting_is_documented():
    missing = [name for name in Settings.model_fields if f"GRISTMILL_{name.upper()}`" not in PAGE]

    assert missing == []


def test_every_meaning_is_the_one_in_the_code():
    missing = [name for name, field in Settings.model_fields.items() if field.description not in PAGE]

    assert missing == []
