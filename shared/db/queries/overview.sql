-- queue --
-- The jobs and units of a tenant that wait and are at work, with the ages of the oldest that wait.
-- A unit waits when it may be leased now. Of these @most are counted, in the order of their jobs.
WITH open AS MATERIALIZED (
    SELECT id, state, kind, created_at, waits FROM gristmill.jobs
    WHERE tenant = @tenant AND state IN ('queued', 'running') AND NOT waits
    UNION ALL
    SELECT id, state, kind, created_at, waits FROM gristmill.jobs
    WHERE tenant = @tenant AND state IN ('queued', 'running') AND finished_at IS NULL AND waits
), waiting AS MATERIALIZED (
    SELECT u.not_before
    FROM (SELECT id FROM open WHERE NOT waits ORDER BY id OFFSET 0) o CROSS JOIN LATERAL (
        SELECT not_before FROM gristmill.units
        WHERE job_id = o.id AND state = 'pending' AND not_before <= now()
        ORDER BY id) u
    LIMIT @most
), leased AS (
    SELECT u.job_id FROM gristmill.units u
    WHERE u.state = 'leased' AND u.fold IS NULL
      AND (SELECT j.tenant FROM gristmill.jobs j WHERE j.id = u.job_id) = @tenant
)
SELECT (SELECT count(*) FROM open WHERE state = 'queued' AND kind = 'job') AS jobs_queued,
       (SELECT count(*) FROM open WHERE state = 'running' AND kind = 'job') AS jobs_running,
       (SELECT now() - min(created_at) FROM open WHERE state = 'queued' AND kind = 'job') AS job_waits,
       (SELECT count(*) FROM waiting) AS units_waiting,
       (SELECT now() - min(not_before) FROM waiting) AS unit_waits,
       (SELECT count(*) FROM leased) AS units_leased

-- slots --
-- The workers that live, those of them that take no further work, and the slots of all, by their use.
SELECT count(*) AS live, count(*) FILTER (WHERE draining OR drain_asked_at IS NOT NULL) AS draining,
       coalesce(sum(coalesce(able, slots)), 0)::bigint AS slots,
       (SELECT count(*) FROM gristmill.units WHERE state = 'leased' AND fold IS NULL) AS busy
FROM gristmill.workers WHERE seen_at > now() - @lease::interval

-- read --
-- The rows and bytes that chunks of a tenant read in each of the last 60 minutes, counted back from now.
-- Only the newest @most chunks of all tenants are read; `counted` are those of them in a minute.
WITH newest AS MATERIALIZED (
    SELECT job_id, floor(extract(epoch FROM now() - finished_at) / 60)::integer AS ago, rows_read, bytes
    FROM gristmill.units
    WHERE finished_at > now() - interval '1 hour' AND kind = 'chunk' AND state = 'done'
    ORDER BY finished_at DESC
    LIMIT @most
), added AS MATERIALIZED (
    SELECT ago, sum(rows_read) AS rows, sum(bytes) AS bytes, count(*) AS counted,
           (SELECT j.tenant FROM gristmill.jobs j WHERE j.id = job_id) = @tenant AS own
    FROM newest
    GROUP BY job_id, ago
)
SELECT ago, coalesce(sum(rows) FILTER (WHERE own), 0)::bigint AS rows,
       coalesce(sum(bytes) FILTER (WHERE own), 0)::bigint AS bytes, sum(counted)::bigint AS counted
FROM added
GROUP BY ago

-- ended --
-- How many jobs of a tenant succeeded and failed in each of the last 60 minutes.
-- Only the newest @most of all tenants that ended are read; `counted` are those of them in a minute.
SELECT floor(extract(epoch FROM now() - finished_at) / 60)::integer AS ago,
       count(*) FILTER (WHERE own AND state = 'succeeded') AS succeeded,
       count(*) FILTER (WHERE own AND state = 'failed') AS failed, count(*) AS counted
FROM (
    SELECT finished_at, state, tenant = @tenant AND kind = 'job' AS own FROM gristmill.jobs
    WHERE finished_at > now() - interval '1 hour'
    ORDER BY finished_at DESC
    LIMIT @most) AS newest
GROUP BY 1

-- failures --
-- The jobs of a tenant that failed within @within, by their error code: how many, and the newest of them.
-- Only the newest @among jobs of the tenant are looked at.
WITH failed AS MATERIALIZED (
    SELECT id, finished_at, error ->> 'code' AS code
    FROM (
        SELECT id, kind, state, finished_at, error FROM gristmill.jobs
        WHERE tenant = @tenant
        ORDER BY id DESC
        LIMIT @among) AS newest
    WHERE finished_at > now() - @within::interval AND kind = 'job' AND state = 'failed'
), causes AS MATERIALIZED (
    SELECT code, count(*) AS jobs, max(finished_at) AS at, (array_agg(id ORDER BY finished_at DESC))[1] AS job_id
    FROM failed
    GROUP BY code
    ORDER BY at DESC
    LIMIT @most
)
SELECT c.*, j.error ->> 'detail' AS detail
FROM causes c JOIN gristmill.jobs j ON j.id = c.job_id
ORDER BY c.at DESC
