-- partials --
-- Delete the partials of jobs that succeeded, or that ended so long ago that they cannot be retried.
-- Those of a job that failed because its tenant stores too much go at once.
-- Under the job's row, which `retry` locks too: every partial that is deleted belongs to a job that is over.
WITH spent AS (
    SELECT id FROM gristmill.jobs
    WHERE (state = 'succeeded' OR finished_at < now() - @retried::interval
           OR state = 'failed' AND error ->> 'code' = 'storage_limit_exceeded')
      AND id IN (SELECT job_id FROM gristmill.partials)
    ORDER BY id LIMIT @most
    FOR NO KEY UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gristmill.partials p USING spent WHERE p.job_id = spent.id
)
SELECT count(*) FROM spent

-- expired_versions --
-- Find the versions that no user is promised any more.
-- Of a name: those beyond the number that the current job keeps, replaced at least @superseded ago. A version
-- may be published after the one that replaces it; then it counts from its own time. Null, of a job that a
-- gateway without this column has submitted, keeps all. Versions without a name go @unnamed after they were
-- made. Each goes when it expires. With the current version of a name, all of them go.
SELECT job_id, tenant, CASE WHEN shown THEN name END AS name FROM (
    SELECT v.job_id, v.tenant, v.name, v.published_at, r.current IS NOT DISTINCT FROM v.version AS shown,
           row_number() OVER newest AS age, lag(v.published_at) OVER newest AS replaced_at,
           (SELECT j.kept_versions FROM gristmill.versions c JOIN gristmill.jobs j ON j.id = c.job_id
            WHERE c.tenant = v.tenant AND c.name = v.name AND c.version = r.current) AS kept,
           (SELECT v.published_at + j.expires FROM gristmill.jobs j WHERE j.id = v.job_id) AS expires_at
    FROM gristmill.versions v
    LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
    WINDOW newest AS (PARTITION BY v.tenant, v.name ORDER BY v.version DESC)
) AS found
WHERE (name IS NOT NULL AND NOT shown AND age > kept
       AND greatest(published_at, replaced_at) < now() - @superseded::interval)
   OR (name IS NULL AND published_at < now() - @unnamed::interval)
   OR expires_at <= now()
ORDER BY published_at

-- version --
-- Delete the row of a version, unless another session holds it.
DELETE FROM gristmill.versions
WHERE job_id = (SELECT job_id FROM gristmill.versions WHERE job_id = @job_id FOR UPDATE SKIP LOCKED)
RETURNING job_id

-- jobs --
-- Delete jobs that ended long ago and have no version; units and partials go with them.
WITH old AS (
    SELECT id FROM gristmill.jobs j
    WHERE finished_at < now() - @kept::interval
      AND NOT EXISTS (SELECT FROM gristmill.versions WHERE job_id = j.id)
    ORDER BY finished_at LIMIT @most
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gristmill.jobs j USING old WHERE j.id = old.id
)
SELECT count(*) FROM old

-- plans --
-- Delete dry runs that ended @kept ago; their findings go with them.
WITH old AS (
    SELECT id FROM gristmill.jobs
    WHERE finished_at < now() - @kept::interval AND kind <> 'job'
    ORDER BY finished_at LIMIT @most
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gristmill.jobs j USING old WHERE j.id = old.id
)
SELECT count(*) FROM old

-- uploads --
-- Delete uploads unused for @unused that no job needs: one that lives, or can be retried until @retried
-- after its end. Null, of a job that a gateway without this column has submitted, may be any upload.
WITH unneeded AS (
    SELECT id FROM gristmill.uploads u
    WHERE coalesce(used_at, created_at) < now() - @unused::interval
      AND NOT EXISTS (
          SELECT FROM gristmill.jobs j
          WHERE j.tenant = u.tenant AND (j.uploads IS NULL OR u.id = ANY (j.uploads))
            AND (j.finished_at IS NULL
                 OR (j.state <> 'succeeded' AND j.finished_at > now() - @retried::interval)))
    ORDER BY id LIMIT @most
    FOR UPDATE OF u SKIP LOCKED
)
DELETE FROM gristmill.uploads u USING unneeded WHERE u.id = unneeded.id RETURNING u.tenant, u.id

-- unfinished_uploads --
-- Delete unfinished uploads that have expired.
WITH expired AS (
    SELECT id FROM gristmill.unfinished_uploads
    WHERE expires_at < now()
    ORDER BY expires_at LIMIT @most
    FOR UPDATE SKIP LOCKED
)
DELETE FROM gristmill.unfinished_uploads u USING expired WHERE u.id = expired.id RETURNING u.tenant, u.id

-- strays --
-- Those of the ids that are no upload, finished or not.
SELECT found.id FROM unnest(@ids::text[]) AS found (id)
WHERE NOT EXISTS (SELECT FROM gristmill.uploads u WHERE u.id = found.id)
  AND NOT EXISTS (SELECT FROM gristmill.unfinished_uploads u WHERE u.id = found.id)

-- workers --
-- Forget workers that are silent, unless a lease still names them.
DELETE FROM gristmill.workers w
WHERE w.seen_at < now() - @silent::interval
  AND NOT EXISTS (SELECT FROM gristmill.units u WHERE u.worker = w.id AND u.state = 'leased')

-- keys --
-- Forget API keys that ended by themselves @ended ago. The keys that they made have ended before.
-- The first key of all stays: while there is one, a gateway answers no request without a key.
WITH old AS (
    SELECT id FROM gristmill.api_keys
    WHERE expires_at < now() - @ended::interval AND id <> (SELECT min(id) FROM gristmill.api_keys)
    ORDER BY id LIMIT @most
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM gristmill.api_keys k USING old WHERE k.id = old.id
)
SELECT count(*) FROM old

-- days --
-- Forget the days before yesterday on which tenants have scanned bytes.
DELETE FROM gristmill.tenant_days WHERE day < (now() AT TIME ZONE 'UTC')::date - 1
