CREATE INDEX units_read ON gristmill.units (finished_at) WHERE kind = 'chunk' AND state = 'done';
