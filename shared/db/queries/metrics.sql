-- service --
-- The figures of the whole service, of all tenants.
-- A unit waits when it may be leased now; @most of these are counted.
-- The mean time of a chunk is that of the newest @newest that are done, and of all others of their commits.
-- The chunks of a fold are committed by one worker at one time. Their times overlap, so together they took as
-- long as the longest. A part of a fold would not have its longest.
WITH open AS MATERIALIZED (
    SELECT id, state, created_at, waits FROM gristmill.jobs WHERE state IN ('queued', 'running') AND NOT waits
    UNION ALL
    SELECT id, state, created_at, waits FROM gristmill.jobs
    WHERE state IN ('queued', 'running') AND finished_at IS NULL AND waits
), queue AS (
    SELECT count(*) FILTER (WHERE state = 'queued') AS jobs_queued,
           count(*) FILTER (WHERE state = 'running') AS jobs_running,
           extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'queued'))::float8 AS job_waits
    FROM open
), waiting AS (
    SELECT count(*) AS units_waiting, extract(epoch FROM now() - min(not_before))::float8 AS unit_waits
    FROM (SELECT not_before FROM gristmill.units
          WHERE state = 'pending' AND not_before <= now() AND job_id IN (SELECT id FROM open WHERE NOT waits)
          LIMIT @most) AS due
), commits AS (
    SELECT max(finished_at - leased_at) AS took, count(*) AS chunks
    FROM (SELECT worker, finished_at, leased_at FROM gristmill.units
          WHERE kind = 'chunk' AND state = 'done' AND finished_at IS NOT NULL
          ORDER BY finished_at DESC FETCH FIRST (@newest) ROWS WITH TIES) AS newest
    GROUP BY worker, finished_at
), scanning AS (
    SELECT extract(epoch FROM sum(took))::float8 / sum(chunks)::float8 AS chunk_seconds FROM commits
), live AS (
    SELECT coalesce(able, slots) AS slots, draining OR drain_asked_at IS NOT NULL AS draining
    FROM gristmill.workers WHERE seen_at > now() - @lease::interval
), able AS (
    SELECT count(*) FILTER (WHERE NOT draining) AS workers_working,
           count(*) FILTER (WHERE draining) AS workers_draining,
           coalesce(sum(slots) FILTER (WHERE NOT draining), 0)::bigint AS slots
    FROM live
)
SELECT * FROM queue, waiting, scanning, able
