-- own --
-- The limits that a tenant has of its own.
SELECT * FROM gristmill.tenants WHERE tenant = @tenant

-- all --
-- The tenants that have limits of their own, jobs, uploads or keys; null where a limit is the default.
SELECT t.tenant, own.queued_jobs, own.running_jobs, own.scan_bytes_per_day, own.stored_bytes, own.uploads,
       own.upload_bytes, own.requests_per_second
FROM (SELECT 'default' AS tenant
      UNION SELECT tenant FROM gristmill.tenants
      UNION SELECT tenant FROM gristmill.jobs
      UNION SELECT tenant FROM gristmill.uploads
      UNION SELECT tenant FROM gristmill.api_keys) AS t
LEFT JOIN gristmill.tenants own ON own.tenant = t.tenant
ORDER BY t.tenant

-- rates --
-- How many requests a second tenants may make that have a limit of their own.
SELECT tenant, requests_per_second FROM gristmill.tenants WHERE requests_per_second IS NOT NULL

-- set --
-- Give a tenant a limit of its own, or with null the default.
INSERT INTO gristmill.tenants AS t (tenant, queued_jobs, running_jobs, scan_bytes_per_day, stored_bytes, uploads,
                                    upload_bytes, requests_per_second)
VALUES (@tenant, @queued_jobs, @running_jobs, @scan_bytes_per_day, @stored_bytes, @uploads, @upload_bytes,
        @requests_per_second)
ON CONFLICT (tenant) DO UPDATE
SET queued_jobs = excluded.queued_jobs, running_jobs = excluded.running_jobs,
    scan_bytes_per_day = excluded.scan_bytes_per_day, stored_bytes = excluded.stored_bytes,
    uploads = excluded.uploads, upload_bytes = excluded.upload_bytes,
    requests_per_second = excluded.requests_per_second

-- add --
-- Make the row of a tenant without limits of its own.
INSERT INTO gristmill.tenants (tenant) VALUES (@tenant) ON CONFLICT (tenant) DO NOTHING

-- hold --
-- Lock a tenant: until the end of the transaction no other session counts its use. Taken after the locks
-- of a job, its units and its result. `fail_overfull` locks the pending units later. It holds the job's row, so
-- a session that has these units does not wait for the tenant.
SELECT * FROM gristmill.tenants WHERE tenant = @tenant FOR NO KEY UPDATE

-- queued --
-- The jobs of a tenant that have not begun or wait, dry runs too, up to @most.
SELECT count(*) FROM (
    (SELECT FROM gristmill.jobs WHERE tenant = @tenant AND finished_at IS NULL AND waits LIMIT @most::bigint)
    UNION ALL
    (SELECT FROM gristmill.jobs
     WHERE tenant = @tenant AND finished_at IS NULL AND NOT waits AND (started_at IS NULL) LIMIT @most)) AS found

-- admitted --
-- The jobs of a tenant that may run, dry runs too, up to @most.
SELECT count(*) FROM (SELECT FROM gristmill.jobs
                      WHERE tenant = @tenant AND finished_at IS NULL AND NOT waits LIMIT @most::bigint) AS found

-- keep_waiting --
-- Lease no unit of a job for now.
UPDATE gristmill.jobs SET waits = true WHERE id = @id

-- crowded --
-- The tenants of which a job may begin to run that waits, or has to wait that has not begun.
-- A tenant whose jobs were submitted without any limit has no row of its own, and none of them waits. So
-- without a default these tenants are not looked for.
WITH RECURSIVE {_tenants}
SELECT t.tenant, coalesce(own.running_jobs, @running, @unlimited::bigint) AS most
FROM (SELECT tenant FROM tenants WHERE tenant IS NOT NULL AND @running::bigint IS NOT NULL
      UNION SELECT tenant FROM gristmill.tenants) AS t
LEFT JOIN gristmill.tenants own ON own.tenant = t.tenant
WHERE (SELECT true FROM gristmill.jobs j
       WHERE j.tenant = t.tenant AND j.finished_at IS NULL AND j.waits AND j.state IN ('queued', 'running') LIMIT 1)
   OR coalesce(own.running_jobs, @running) IS NOT NULL
      AND (SELECT true FROM gristmill.jobs j
           WHERE j.tenant = t.tenant AND j.finished_at IS NULL AND NOT j.waits AND (j.started_at IS NULL)
           LIMIT 1)
ORDER BY t.tenant

-- let_in --
-- Let jobs of a tenant run that wait, up to @most; first those that had begun, then by priority and age.
UPDATE gristmill.jobs SET waits = false, revision = revision + 1
WHERE id IN (SELECT id FROM gristmill.jobs
             WHERE tenant = @tenant AND finished_at IS NULL AND waits AND state IN ('queued', 'running')
             ORDER BY (started_at IS NULL), priority DESC, id
             LIMIT greatest(0, @most::bigint - (SELECT count(*) FROM gristmill.jobs
                                               WHERE tenant = @tenant AND finished_at IS NULL AND NOT waits))
             FOR NO KEY UPDATE SKIP LOCKED)

-- hold_back --
-- Have jobs of a tenant wait that have not begun, so that @most are left that may run, if that many began.
UPDATE gristmill.jobs SET waits = true, revision = revision + 1
WHERE id IN (SELECT id FROM gristmill.jobs
             WHERE tenant = @tenant AND finished_at IS NULL AND NOT waits AND (started_at IS NULL)
               AND state = 'queued'
             ORDER BY priority, id DESC
             LIMIT greatest(0, (SELECT count(*) FROM gristmill.jobs
                                WHERE tenant = @tenant AND finished_at IS NULL AND NOT waits) - @most::bigint)
             FOR NO KEY UPDATE SKIP LOCKED)

-- scanned --
-- The bytes that a tenant has scanned today, by UTC, and the seconds until tomorrow.
SELECT coalesce((SELECT scanned_bytes FROM gristmill.tenant_days
                 WHERE tenant = @tenant AND day = (now() AT TIME ZONE 'UTC')::date), 0) AS bytes,
       ceil(extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day'
                               - now() AT TIME ZONE 'UTC'))::integer AS seconds

-- _charged --
-- Count the @bytes of job @id among those that its tenant scans today, unless its limit forbids it. A job that
-- is planned again counts with the difference. No row: it was forbidden.
due AS (
    SELECT tenant, greatest(0, @bytes::bigint - charged_bytes) AS bytes,
           coalesce((SELECT t.scan_bytes_per_day FROM gristmill.tenants t WHERE t.tenant = j.tenant),
                    @scan_bytes::bigint, @unlimited::bigint) AS most
    FROM gristmill.jobs j WHERE id = @id
), charged AS (
    INSERT INTO gristmill.tenant_days AS d (tenant, day, scanned_bytes)
    SELECT tenant, (now() AT TIME ZONE 'UTC')::date, bytes FROM due WHERE bytes <= most OR bytes = 0
    ON CONFLICT (tenant, day) DO UPDATE SET scanned_bytes = d.scanned_bytes + excluded.scanned_bytes
    WHERE excluded.scanned_bytes = 0 OR d.scanned_bytes <= (SELECT most FROM due) - excluded.scanned_bytes
    RETURNING tenant
)

-- stored --
-- The bytes in Postgres of a tenant's states and results, indexes too.
SELECT coalesce((SELECT sum(octet_length(p.data)) FROM gristmill.partials p
                 JOIN gristmill.jobs j ON j.id = p.job_id WHERE j.tenant = @tenant), 0)::bigint
     + coalesce((SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'gristmill_results' AND c.relkind = 'r'
                   AND c.relname IN (SELECT id FROM gristmill.jobs WHERE tenant = @tenant)), 0)::bigint

-- writing --
-- The jobs under way of tenants that have a limit of stored bytes, the youngest first.
SELECT j.id, j.tenant, coalesce(t.stored_bytes, @stored::bigint) AS most
FROM gristmill.jobs j LEFT JOIN gristmill.tenants t ON t.tenant = j.tenant
WHERE j.state = 'running' AND j.phase IN ('scanning', 'merging')
  AND coalesce(t.stored_bytes, @stored) < @unlimited::bigint
ORDER BY j.id DESC

-- leaving --
-- Whether bytes of a job are still there that failed, or is about to, because its tenant stores too much.
SELECT EXISTS (SELECT FROM gristmill.jobs j
               WHERE j.tenant = @tenant AND j.error ->> 'code' = 'storage_limit_exceeded'
                 AND (j.state = 'cancelling'
                      OR j.state = 'failed' AND EXISTS (SELECT FROM gristmill.partials WHERE job_id = j.id)))

-- uploaded --
-- The uploads of a tenant, unfinished ones with the size that they will have.
SELECT count(*) AS uploads, coalesce(sum(bytes), 0)::bigint AS bytes FROM (
    SELECT bytes FROM gristmill.uploads WHERE tenant = @tenant
    UNION ALL
    SELECT bytes FROM gristmill.unfinished_uploads WHERE tenant = @tenant AND expires_at > now()) AS found

