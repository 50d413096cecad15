-- queue --
-- The jobs and units of a tenant that wait and are at work, with the ages of the oldest that wait.
-- A unit waits when it may be leased now. Of these @most are counted, in the order of their jobs.
WITH open AS MATERIALIZED (
    SELECT id, state, kind, created_at FROM gristmill.jobs
    WHERE tenant = @tenant AND state IN ('queued', 'running')
), waiting AS MATERIALIZED (
    SELECT u.not_before
    FROM (SELECT id FROM open ORDER BY id OFFSET 0) o CROSS JOIN LATERAL (
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
SELECT floor(extract(epoch FROM now() - u.finished_at) / 60)::integer AS ago,
       sum(u.rows_read)::bigint AS rows, sum(u.bytes)::bigint AS bytes
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id
WHERE u.finished_at > now() - interval '1 hour' AND u.kind = 'chunk' AND u.state = 'done' AND j.tenant = @tenant
GROUP BY 1

-- ended --
-- How many jobs of a tenant succeeded and failed in each of the last 60 minutes.
SELECT floor(extract(epoch FROM now() - finished_at) / 60)::integer AS ago,
       count(*) FILTER (WHERE state = 'succeeded') AS succeeded, count(*) FILTER (WHERE state = 'failed') AS failed
FROM gristmill.jobs
WHERE finished_at > now() - interval '1 hour' AND tenant = @tenant AND kind = 'job'
GROUP BY 1

-- failures --
-- The jobs of a tenant that failed within @within, by their error code: how many, and the newest of them.
SELECT error ->> 'code' AS code, count(*) AS jobs, max(finished_at) AS at,
       (array_agg(id ORDER BY finished_at DESC))[1] AS job_id,
       (array_agg(error ->> 'detail' ORDER BY finished_at DESC))[1] AS detail
FROM gristmill.jobs
WHERE finished_at > now() - @within::interval AND tenant = @tenant AND kind = 'job' AND state = 'failed'
GROUP BY 1
ORDER BY at DESC
LIMIT @most
