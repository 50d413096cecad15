-- claim --
WITH claimable AS (
    SELECT u.id
    FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id
    WHERE u.id = $1 AND u.state = 'pending' AND u.not_before <= now() AND u.epoch = j.epoch
      AND j.state IN ('queued', 'running') AND u.state_version = ANY ($3::smallint[])
    FOR UPDATE OF u SKIP LOCKED
)
UPDATE gristmill.units u
SET state = 'leased', attempt = u.attempt + 1, worker = $2, leased_at = now(), deadline_at = now() + $4::interval * CASE u.kind WHEN 'plan' THEN 24 ELSE 1 END + u.bytes * interval '1 microsecond',
    rung_at = NULL
FROM claimable
WHERE u.id = claimable.id
  AND EXISTS (SELECT FROM gristmill.workers w WHERE w.id = $2 AND w.seen_at > now() - $5::interval)
RETURNING u.*, u.deadline_at - now() AS allowed

-- next_of_job --
-- The next unit of the same job, unless the job is big and another job waits.
SELECT u.id FROM gristmill.units u
WHERE u.job_id = $1 AND u.state = 'pending' AND u.not_before <= now()
  AND ((SELECT count(*) FROM (SELECT FROM gristmill.units c WHERE c.job_id = $1 LIMIT 9) AS few) <= 8
       OR NOT EXISTS (SELECT FROM gristmill.units o JOIN gristmill.jobs j ON j.id = o.job_id
                      WHERE o.job_id <> $1 AND o.state = 'pending' AND o.not_before <= now() AND j.state IN ('queued', 'running')))
ORDER BY u.id
LIMIT 1
FOR UPDATE OF u SKIP LOCKED

-- complete --
UPDATE gristmill.units
SET state = 'done', finished_at = now(), deadline_at = NULL, error = NULL,
    rows_read = $4, rows_dropped = $5, rows_out = $6, stats = $7
WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3
RETURNING job_id

-- held_by --
SELECT EXISTS (SELECT FROM gristmill.units WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3)

-- completed_by --
SELECT EXISTS (SELECT FROM gristmill.units WHERE id = $1 AND state = 'done' AND attempt = $2 AND worker = $3)

-- give_back --
-- The job's row is locked by the caller; a unit of an ending job is cancelled instead.
UPDATE gristmill.units u
SET state = CASE WHEN j.state IN ('queued', 'running', 'paused') THEN 'pending' ELSE 'cancelled' END,
    finished_at = CASE WHEN j.state IN ('queued', 'running', 'paused') THEN NULL ELSE now() END,
    deadline_at = NULL, rung_at = NULL, not_before = now() + $4::interval, error = $5,
    deaths = deaths + ($6 = 'death')::int, crashes = crashes + ($6 = 'crash')::int, errors = errors + ($6 = 'error')::int
FROM gristmill.jobs j
WHERE u.id = $1 AND u.state = 'leased' AND u.attempt = $2 AND u.worker = $3 AND j.id = u.job_id
RETURNING u.state

-- fail --
UPDATE gristmill.units
SET state = 'failed', finished_at = now(), deadline_at = NULL, error = $4
WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3
RETURNING job_id

-- cancel_pending --
UPDATE gristmill.units SET state = 'cancelled', finished_at = now(), rung_at = NULL WHERE job_id = $1 AND state = 'pending'

-- reset_chunks --
UPDATE gristmill.units
SET state = 'pending', epoch = $2, finished_at = NULL, deadline_at = NULL, rung_at = NULL, not_before = now(),
    rows_read = 0, rows_dropped = 0, rows_out = 0, stats = NULL, error = NULL
WHERE job_id = $1 AND kind = 'chunk'

-- rebase --
UPDATE gristmill.units SET epoch = $2 WHERE job_id = $1 AND kind <> 'chunk'

-- insert --
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, payload, bytes)
SELECT $1, $2, unit.no, $3, $4, unit.payload, unit.bytes
FROM unnest($5::integer[], $6::json[], $7::bigint[]) AS unit (no, payload, bytes)

-- unfinished --
SELECT EXISTS (SELECT FROM gristmill.units WHERE job_id = $1 AND state <> 'done')

-- merged --
SELECT rows_out, stats FROM gristmill.units WHERE job_id = $1 AND kind = 'merge' AND state = 'done' ORDER BY no

-- due --
-- Units to ring for: fair between tenants, then by priority, then by age; at most a window of messages is out at a time.
WITH room AS (
    SELECT greatest(0, 2 * coalesce(sum(slots), 0) - (
        SELECT count(*) FROM gristmill.units WHERE state = 'pending' AND rung_at > now() - $1::interval)) AS free
    FROM gristmill.workers
    WHERE NOT draining AND seen_at > now() - $3::interval
), candidates AS (
    SELECT u.id, j.priority, row_number() OVER (PARTITION BY j.tenant ORDER BY j.priority DESC, j.id, u.id) AS turn
    FROM gristmill.jobs j
    CROSS JOIN LATERAL (
        SELECT id FROM gristmill.units
        WHERE job_id = j.id AND state = 'pending' AND not_before <= now()
          AND (rung_at IS NULL OR rung_at < now() - least($1::interval * power(2, least(rings - 1, 10)), $2::interval))
        ORDER BY id LIMIT (SELECT free FROM room)
    ) u
    WHERE j.finished_at IS NULL AND j.state IN ('queued', 'running')
), chosen AS (
    SELECT id FROM gristmill.units
    WHERE state = 'pending'
      AND id IN (SELECT id FROM candidates ORDER BY turn, priority DESC, id LIMIT (SELECT free FROM room))
    ORDER BY id
    FOR UPDATE SKIP LOCKED
)
UPDATE gristmill.units u SET rung_at = now(), rings = u.rings + 1
FROM chosen WHERE u.id = chosen.id
RETURNING u.id, u.rings

-- expired --
-- Leases that ended without their worker: it died, or the deadline passed. Never soon after Postgres' own start.
SELECT u.id, u.job_id, u.kind, u.no, u.epoch, u.attempt, u.worker, u.deaths, u.crashes, u.errors, u.payload, interval '0' AS allowed,
       coalesce(w.seen_at <= now() - $1::interval, true) AS worker_died
FROM gristmill.units u LEFT JOIN gristmill.workers w ON w.id = u.worker
WHERE u.state = 'leased'
  AND (u.deadline_at <= now() OR coalesce(w.seen_at <= now() - $1::interval, true))
  AND pg_postmaster_start_time() < now() - $2::interval
ORDER BY u.id LIMIT 100

-- of_job --
SELECT * FROM gristmill.units WHERE job_id = $1 ORDER BY id
