ALTER TABLE gristmill.jobs
    ADD COLUMN kind text NOT NULL DEFAULT 'job' CHECK (kind IN ('job', 'plan', 'look')),
    ADD COLUMN from_plan text;
COMMENT ON COLUMN gristmill.jobs.kind IS 'plan: the dry run of a spec; look: that of a source, without aggregates';
COMMENT ON COLUMN gristmill.jobs.from_plan IS 'the dry run whose plan the job began with';
CREATE INDEX jobs_plans ON gristmill.jobs (finished_at) WHERE kind <> 'job';

CREATE TABLE gristmill.plans (
    job_id        text PRIMARY KEY REFERENCES gristmill.jobs ON DELETE CASCADE,
    state_version smallint NOT NULL,
    plan          json NOT NULL,
    chunks        json,
    look          json
);
COMMENT ON TABLE gristmill.plans IS 'the plan of a dry run; and that of a job which begins with one, until it has begun';
COMMENT ON COLUMN gristmill.plans.chunks IS 'null: the dry run could not cut the files in bounded time';
