ALTER TABLE gristmill.workers
    ADD COLUMN state_version smallint,
    ADD COLUMN rss_bytes bigint,
    ADD COLUMN cpu_seconds double precision,
    ADD COLUMN cpu_cores double precision,
    ADD COLUMN drain_asked_at timestamptz;
COMMENT ON COLUMN gristmill.workers.state_version IS 'the version of states whose units it takes; null: it does not say';
COMMENT ON COLUMN gristmill.workers.rss_bytes IS 'resident memory of the worker and its children; pages that they share count in each';
COMMENT ON COLUMN gristmill.workers.cpu_seconds IS 'processor time of the worker and its children since it began';
COMMENT ON COLUMN gristmill.workers.cpu_cores IS 'processor seconds in a second, between its last two heartbeats';
COMMENT ON COLUMN gristmill.workers.drain_asked_at IS 'when it was asked to drain; it hears of it at its next heartbeat';
