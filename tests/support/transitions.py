"""A trigger in each test's database: a step that the tables of shared.core.lifecycle do not have raises."""

from typing import Any

import psycopg

from shared.core.lifecycle import JOB, UNIT, Transition

UNCHECKED = "SET gristmill.unchecked = 'on'"
"""For a session that puts a state in place by hand."""

_CHECKS = """
CREATE SCHEMA checks;
CREATE FUNCTION checks.step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    step text := OLD.state || ' --> ' || NEW.state;
BEGIN
    IF step <> ALL (TG_ARGV) AND current_setting('gristmill.unchecked', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'the lifecycle of % has no %', TG_TABLE_NAME, step;
    END IF;
    RETURN NEW;
END $$;
"""


def _trigger(table: str, steps: tuple[Transition, ...]) -> str:
    allowed = ", ".join(sorted({f"'{step.source} --> {step.target}'" for step in steps}))
    return f"""
        CREATE TRIGGER step BEFORE UPDATE ON gristmill.{table} FOR EACH ROW WHEN (OLD.state <> NEW.state)
        EXECUTE FUNCTION checks.step({allowed});
    """


def install(connection: psycopg.Connection[Any]) -> None:
    connection.execute(_CHECKS + _trigger("jobs", JOB) + _trigger("units", UNIT))
