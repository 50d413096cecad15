CREATE TABLE gristmill.tenants (
    tenant              text PRIMARY KEY,
    queued_jobs         bigint CHECK (queued_jobs >= 0),
    running_jobs        bigint CHECK (running_jobs >= 1),
    scan_bytes_per_day  bigint CHECK (scan_bytes_per_day >= 0),
    stored_bytes        bigint CHECK (stored_bytes >= 0),
    uploads             bigint CHECK (uploads >= 0),
    upload_bytes        bigint CHECK (upload_bytes >= 0),
    requests_per_second bigint CHECK (requests_per_second >= 1)
);
COMMENT ON TABLE gristmill.tenants IS 'limits of tenants; null: the default of the settings; 2^63 - 1: none. A row is also the lock under which the use of a tenant is counted';

CREATE TABLE gristmill.tenant_days (
    tenant        text NOT NULL,
    day           date NOT NULL,
    scanned_bytes bigint NOT NULL,
    PRIMARY KEY (tenant, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE gristmill.tenant_days IS 'the bytes of the jobs that were planned on a day, by UTC';

ALTER TABLE gristmill.jobs
    ADD COLUMN waits boolean NOT NULL DEFAULT false,
    ADD COLUMN charged_bytes bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN gristmill.jobs.waits IS 'its tenant has as many running jobs as it may; none of its units is leased';
COMMENT ON COLUMN gristmill.jobs.charged_bytes IS 'so many are counted in tenant_days';

DROP INDEX gristmill.jobs_open;
CREATE INDEX jobs_open ON gristmill.jobs (tenant, priority DESC, id) WHERE state IN ('queued', 'running') AND NOT waits;
CREATE INDEX jobs_admitted ON gristmill.jobs (tenant, (started_at IS NULL), priority DESC, id) WHERE finished_at IS NULL AND NOT waits;
CREATE INDEX jobs_waiting ON gristmill.jobs (tenant, (started_at IS NULL), priority DESC, id) WHERE finished_at IS NULL AND waits;
