CREATE TABLE gristmill.job_events (
    job_id text NOT NULL REFERENCES gristmill.jobs ON DELETE CASCADE,
    no     integer NOT NULL,
    at     timestamptz NOT NULL,
    event  text NOT NULL,
    count  integer NOT NULL DEFAULT 1,
    said   json NOT NULL,
    PRIMARY KEY (job_id, no)
);
COMMENT ON TABLE gristmill.job_events IS 'the history of jobs; each entry is written in the transaction that causes it';
COMMENT ON COLUMN gristmill.job_events.no IS
    'from 1 to 1,000; above, one entry for each kind of event counts the further ones';
COMMENT ON COLUMN gristmill.job_events.at IS 'when it happened; of an entry that counts, the last time';
COMMENT ON COLUMN gristmill.job_events.said IS 'who did it, the unit and its attempt, the error and more, by the event';

ALTER TABLE gristmill.jobs
    ADD COLUMN expires interval,
    ADD COLUMN max_parallel integer,
    ADD COLUMN claims bigint NOT NULL DEFAULT 0,
    ADD COLUMN sources text;
CREATE INDEX jobs_named ON gristmill.jobs (tenant, result_name, id DESC) WHERE result_name IS NOT NULL;
COMMENT ON COLUMN gristmill.jobs.expires IS
    'output.expires: from the publishing of the job''s version to its deletion; null: never';
COMMENT ON COLUMN gristmill.jobs.max_parallel IS
    'options.max_parallel_chunks: the most chunks of the job that are leased at once; null: any number';
COMMENT ON COLUMN gristmill.jobs.claims IS
    'rises with each claim of a job with max_parallel, so that two claims never count the same leases';
COMMENT ON COLUMN gristmill.jobs.sources IS
    'source.uris, one a line; null, of a job that a gateway without this column has submitted, is never found';

UPDATE gristmill.jobs SET sources = (
    SELECT string_agg(uri, chr(10)) FROM json_array_elements_text(spec #> '{source,uris}') AS named (uri));
