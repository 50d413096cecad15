ALTER TABLE gristmill.workers ADD COLUMN settings json;
COMMENT ON COLUMN gristmill.workers.settings IS
    'those by which gateways and workers must agree; null: a worker of an earlier version';
