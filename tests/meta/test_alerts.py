"""The alert rules use metrics and labels that exist, and each has its place in the documents."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from shared.core.retry import Cause
from tests.support.metrics import ALL

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "alerts.yml"
PAGE = (ROOT / "docs" / "observability.md").read_text()
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
SERIES = {
    shown.name + suffix: {*re.findall(r"\w+", shown.labels)}
    for shown in ALL()
    for suffix in SUFFIXES[shown.type]
}
_SERIES = re.compile(r"\b((?:gristmill|process)_\w+)(?:\{([^}]*)\})?")
_KNOWN = {"sum", "max", "min", "rate", "increase", "absent", "scalar", "min_over_time", "by", "and", "unless"}


def rules():
    return pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


@rules()
def test_a_rule_asks_for_metrics_and_labels_that_there_are(rule):
    found = _SERIES.findall(rule["expr"])

    assert found
    for name, labels in found:
        assert name in SERIES, name
        assert {*re.findall(r"(\w+)[=!]", labels)} <= SERIES[name], labels


@rules()
def test_an_expression_is_balanced_and_calls_known_functions(rule):
    bare = re.sub(r'"[^"]*"', "", _SERIES.sub("", rule["expr"]))
    for opening, closing in ("()", "[]", "{}"):
        assert bare.count(opening) == bare.count(closing)
    assert {*re.findall(r"[a-z_]{2,}", bare)} <= _KNOWN | {"cause"}


@rules()
def test_a_rule_says_what_is_wrong_and_where_to_read_on(rule):
    """Its part of the operations page has its name."""
    assert f"\n### {rule['alert']}\n" in RUNBOOK
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_page_lists_each_alert_and_no_other():
    listed = re.findall(r"^\| `(Gristmill\w+)` \|", PAGE, re.MULTILINE)

    assert listed == [rule["alert"] for rule in RULES]


def test_the_causes_that_an_expression_leaves_out_exist():
    [rule] = [rule for rule in RULES if rule["alert"] == "GristmillUnitsRetrying"]
    [left_out] = re.findall(r'cause!~"([^"]*)"', rule["expr"])

    assert {*left_out.split("|")} <= {cause.name.lower() for cause in Cause}


def test_promtool_accepts_the_rules():
    """The other tests of this file hold where it is not installed."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed; it comes with Prometheus")
    done = subprocess.run([promtool, "check", "rules", FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
