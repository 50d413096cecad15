-- service --
-- The figures of the whole service, of all tenants.
-- A unit waits when it may be leased now. Of these @most are counted, in the order of their jobs.
-- The mean time of a chunk is that of the newest @newest that are done. The chunks of a fold are committed by
-- one worker at one time. Their times overlap, so together they took as long as the longest.
WITH open AS MATERIALIZED (
    SELECT id, state, kind, created_at FROM gristmill.jobs WHERE state IN ('queued', 'running')
), waiting AS MATERIALIZED (
    SELECT u.not_before
    FROM (SELECT id FROM open ORDER BY id OFFSET 0) o CROSS JOIN LATERAL (
        SELECT not_before FROM gristmill.units
        WHERE job_id = o.id AND state = 'pending' AND not_before <= now()
        ORDER BY id) u
    LIMIT @most
), commits AS (
    SELECT max(finished_at - leased_at) AS took, count(*) AS chunks
    FROM (SELECT worker, finished_at, leased_at FROM gristmill.units
          WHERE kind = 'chunk' AND state = 'done' AND finished_at IS NOT NULL
          ORDER BY finished_at DESC LIMIT @newest) newest
    GROUP BY worker, finished_at
), live AS MATERIALIZED (
    SELECT coalesce(able, slots) AS slots, draining OR drain_asked_at IS NOT NULL AS draining
    FROM gristmill.workers WHERE seen_at > now() - @lease::interval
)
SELECT (SELECT count(*) FROM open WHERE state = 'queued') AS jobs_queued,
       (SELECT count(*) FROM open WHERE state = 'running') AS jobs_running,
       (SELECT extract(epoch FROM now() - min(created_at))::float8 FROM open WHERE state = 'queued') AS job_waits,
       (SELECT count(*) FROM waiting) AS units_waiting,
       (SELECT extract(epoch FROM now() - min(not_before))::float8 FROM waiting) AS unit_waits,
       (SELECT extract(epoch FROM sum(took))::float8 / sum(chunks)::float8 FROM commits) AS chunk_seconds,
       (SELECT count(*) FROM live WHERE NOT draining) AS workers_working,
       (SELECT count(*) FROM live WHERE draining) AS workers_draining,
       (SELECT coalesce(sum(slots), 0) FROM live WHERE NOT draining)::bigint AS slots
