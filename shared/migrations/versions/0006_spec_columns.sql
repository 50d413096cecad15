ALTER TABLE gristmill.jobs
    ADD COLUMN deadline interval,
    ADD COLUMN kept_versions smallint,
    ADD COLUMN uploads text[];
COMMENT ON COLUMN gristmill.jobs.deadline IS
    'options.deadline: from a submit or a retry to deadline_at; null: none';
COMMENT ON COLUMN gristmill.jobs.kept_versions IS
    'output.versions; null: all, because a gateway without this column has submitted it';
COMMENT ON COLUMN gristmill.jobs.uploads IS
    'ids of the uploads in source.uris; null: any, because a gateway without this column has submitted it';

UPDATE gristmill.jobs
SET deadline = (spec -> 'options' ->> 'deadline')::interval,
    kept_versions = (spec -> 'output' ->> 'versions')::smallint,
    uploads = ARRAY(SELECT substr(uri, length('upload:') + 1)
                    FROM json_array_elements_text(spec #> '{source,uris}') AS named (uri)
                    WHERE starts_with(uri, 'upload:'))
-- The columns of other jobs are never read. Services that still run wait for this statement.
WHERE finished_at IS NULL OR state <> 'succeeded'
   OR EXISTS (SELECT FROM gristmill.versions v WHERE v.job_id = jobs.id);
COMMENT ON COLUMN gristmill.partials.piece IS 'the number of a partial among those of its chunk';
COMMENT ON TABLE gristmill.partials IS
    'the states of chunks; each row covers a range of buckets of one chunk';
