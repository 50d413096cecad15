ALTER TABLE gristmill.partials ADD COLUMN decoded bigint;
COMMENT ON COLUMN gristmill.partials.decoded IS 'bytes of its states in memory; null: of a worker of an earlier version';
