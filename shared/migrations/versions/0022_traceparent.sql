ALTER TABLE gristmill.jobs ADD COLUMN traceparent text;
COMMENT ON COLUMN gristmill.jobs.traceparent IS
    'W3C Trace Context of the submit: the units of the job belong to its trace; null: submitted before';
