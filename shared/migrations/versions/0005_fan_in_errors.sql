ALTER TABLE gristmill.jobs ADD COLUMN fan_in_errors smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN gristmill.jobs.fan_in_errors IS 'how often the step to the next phase ended in an unexpected error; many fail the job';
