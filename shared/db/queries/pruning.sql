-- partials --
-- Under the job's row, which `retry` locks too: what is deleted belongs to a job that is over, whole.
WITH spent AS (
    SELECT id FROM gristmill.jobs
    WHERE (state = 'succeeded' OR finished_at < now() - $1::interval) AND id IN (SELECT job_id FROM gristmill.partials)
    ORDER BY id LIMIT $2
    FOR NO KEY UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gristmill.partials p USING spent WHERE p.job_id = spent.id
)
SELECT count(*) FROM spent

-- expired_versions --
-- Tables that nobody is promised any more: older than the versions that the current job's spec keeps and replaced at least $1 ago;
-- and results without a name, $2 after they were made.
SELECT job_id FROM (
    SELECT v.job_id, v.name, v.published_at, r.current IS NOT DISTINCT FROM v.version AS shown,
           row_number() OVER newest AS place, lag(v.published_at) OVER newest AS replaced_at,
           (SELECT (j.spec -> 'output' ->> 'versions')::integer FROM gristmill.versions c JOIN gristmill.jobs j ON j.id = c.job_id
            WHERE c.tenant = v.tenant AND c.name = v.name AND c.version = r.current) AS kept
    FROM gristmill.versions v LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
    WINDOW newest AS (PARTITION BY v.tenant, v.name ORDER BY v.version DESC)
) AS found
WHERE (name IS NOT NULL AND NOT shown AND place > kept AND replaced_at < now() - $1::interval)
   OR (name IS NULL AND published_at < now() - $2::interval)
LIMIT $3

-- version --
DELETE FROM gristmill.versions
WHERE job_id = (SELECT job_id FROM gristmill.versions WHERE job_id = $1 FOR UPDATE SKIP LOCKED)
RETURNING job_id

-- jobs --
-- Units and partials go with them.
WITH old AS (
    SELECT id FROM gristmill.jobs j
    WHERE finished_at < now() - $1::interval AND NOT EXISTS (SELECT FROM gristmill.versions WHERE job_id = j.id)
    ORDER BY finished_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gristmill.jobs j USING old WHERE j.id = old.id
)
SELECT count(*) FROM old

-- uploads --
-- Unused for $1, and needed by no job that lives or that ended so lately ($2) that it can be retried.
WITH unused AS (
    SELECT id FROM gristmill.uploads u
    WHERE coalesce(used_at, created_at) < now() - $1::interval
      AND NOT EXISTS (
          SELECT FROM gristmill.jobs j CROSS JOIN LATERAL json_array_elements_text(j.spec #> '{source,uris}') AS named (uri)
          WHERE j.tenant = u.tenant AND named.uri = 'upload:' || u.id
            AND (j.finished_at IS NULL OR (j.state <> 'succeeded' AND j.finished_at > now() - $2::interval)))
    ORDER BY id LIMIT $3
    FOR UPDATE OF u SKIP LOCKED
)
DELETE FROM gristmill.uploads u USING unused WHERE u.id = unused.id RETURNING u.tenant, u.id

-- strays --
SELECT found.id FROM unnest($1::text[]) AS found (id) WHERE NOT EXISTS (SELECT FROM gristmill.uploads u WHERE u.id = found.id)

-- workers --
DELETE FROM gristmill.workers w
WHERE w.seen_at < now() - $1::interval AND NOT EXISTS (SELECT FROM gristmill.units u WHERE u.worker = w.id AND u.state = 'leased')
