ALTER TABLE gristmill.jobs
    ADD COLUMN deadline_at timestamptz,
    ADD COLUMN receipt json;
COMMENT ON COLUMN gristmill.jobs.deadline_at IS 'options.deadline after the submit; past it a live job fails';
COMMENT ON COLUMN gristmill.jobs.receipt IS 'what was read and where every row went; written when the job is published';

ALTER TABLE gristmill.units
    ADD COLUMN ooms smallint NOT NULL DEFAULT 0,
    ADD COLUMN rows_aggregated bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN gristmill.units.ooms IS 'leases that ended out of memory; each halves the next attempt''s batch';
COMMENT ON COLUMN gristmill.units.rows_read IS 'records that the splitter counted in the chunk''s input';
COMMENT ON COLUMN gristmill.units.rows_aggregated IS 'rows inside the states: of a chunk''s partial, or of what a merge combined';

ALTER TABLE gristmill.uploads ADD COLUMN used_at timestamptz;
COMMENT ON COLUMN gristmill.uploads.used_at IS 'when a job last named it; unused uploads are pruned';

DROP INDEX gristmill.jobs_live;
CREATE INDEX jobs_open ON gristmill.jobs (tenant, priority DESC, id) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_moving ON gristmill.jobs (id) WHERE state IN ('running', 'cancelling');
CREATE INDEX jobs_finished ON gristmill.jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_deadline ON gristmill.jobs (deadline_at) WHERE deadline_at IS NOT NULL AND finished_at IS NULL;

DROP INDEX gristmill.units_leased;
CREATE INDEX units_leased ON gristmill.units (job_id) WHERE state = 'leased';
CREATE INDEX units_rung ON gristmill.units (rung_at) WHERE state = 'pending' AND rung_at IS NOT NULL;
