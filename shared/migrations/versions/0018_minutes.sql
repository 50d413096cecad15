-- An operator may have built it before, without stopping the workers: docs/deploy.md has the statement.
CREATE INDEX IF NOT EXISTS units_read ON gristmill.units (finished_at) WHERE kind = 'chunk' AND state = 'done';
