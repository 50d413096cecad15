-- claim --
-- Lease one unit to worker $1, if that lives: unit $5; or the next of job $6, while it is its turn; or, with neither, the fairest. Waits for
-- no lock: what somebody holds is passed over. So the order of locks does not matter here, and two claims never meet in one unit.
-- Subqueries with LIMIT or OFFSET 0 in place of joins and EXISTS: each can only go through its index by its key, whatever the statistics.
WITH RECURSIVE tenants AS (
    (SELECT tenant FROM gristmill.jobs WHERE state IN ('queued', 'running') ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT j.tenant FROM gristmill.jobs j WHERE j.state IN ('queued', 'running') AND j.tenant > t.tenant ORDER BY j.tenant LIMIT 1)
    FROM tenants t WHERE t.tenant IS NOT NULL
), leased AS MATERIALIZED (
    SELECT u.job_id, (SELECT j.tenant FROM gristmill.jobs j WHERE j.id = u.job_id) AS tenant,
           CASE WHEN u.kind IN ('merge', 'publish') THEN u.payload ->> 'long' IS NOT NULL ELSE false END AS long
    FROM gristmill.units u WHERE u.state = 'leased'
), last AS MATERIALIZED (
    SELECT tenant FROM gristmill.jobs WHERE id = coalesce($6, $7)
), turns AS MATERIALIZED (
    -- Tenants, fewest leases first; among equals, round and round from the one that this slot served last.
    SELECT t.tenant, held.leases
    FROM tenants t CROSS JOIN LATERAL (SELECT count(*) AS leases FROM leased l WHERE l.tenant = t.tenant) held
    WHERE t.tenant IS NOT NULL
    ORDER BY held.leases, t.tenant <= (SELECT tenant FROM last), t.tenant
), others AS (
    -- Whom job $6 makes wait: if it is small, tenants without any lease; if it is big, every job.
    SELECT FROM turns t
    WHERE (t.leases = 0 AND t.tenant <> (SELECT tenant FROM last)
           OR 8 < (SELECT count(*) FROM (SELECT FROM gristmill.units WHERE job_id = $6 ORDER BY kind, no LIMIT 9) AS few))
      AND (SELECT true FROM gristmill.jobs j
           WHERE j.tenant = t.tenant AND j.state IN ('queued', 'running') AND j.id <> $6
             AND (SELECT true FROM gristmill.units u WHERE u.job_id = j.id AND u.state = 'pending' AND u.not_before <= now() LIMIT 1)
           ORDER BY j.priority DESC, j.id LIMIT 1)
), picked AS MATERIALIZED (
    SELECT unit.id, job.id AS job_id, unit.kind
    FROM (
        (SELECT j.id, j.epoch, j.tenant
         FROM (SELECT id, epoch, state, tenant FROM gristmill.jobs
               WHERE id = coalesce($6, (SELECT job_id FROM gristmill.units WHERE id = $5)) OFFSET 0) j
         WHERE j.state IN ('queued', 'running') AND ($6 IS NULL OR NOT EXISTS (SELECT FROM others)))
        UNION ALL
        -- Of a tenant: the highest priority that has work; of that, jobs that nobody works on, oldest first, but not $7; then any.
        (SELECT j.id, j.epoch, t.tenant
         FROM turns t
         CROSS JOIN LATERAL (
             SELECT o.priority FROM gristmill.jobs o
             WHERE o.tenant = t.tenant AND o.state IN ('queued', 'running')
               AND (SELECT true FROM gristmill.units u WHERE u.job_id = o.id AND u.state = 'pending' AND u.not_before <= now() LIMIT 1)
             ORDER BY o.priority DESC, o.id LIMIT 1) top
         CROSS JOIN LATERAL (
             (SELECT o.id, o.epoch FROM gristmill.jobs o
              WHERE o.tenant = t.tenant AND o.state IN ('queued', 'running') AND o.priority = top.priority
                AND o.id <> ALL (ARRAY(SELECT job_id FROM leased) || coalesce($7, ''))
              ORDER BY o.id)
             UNION ALL
             (SELECT o.id, o.epoch FROM gristmill.jobs o
              WHERE o.tenant = t.tenant AND o.state IN ('queued', 'running')
              ORDER BY o.priority DESC, o.id)) j
         WHERE $5 IS NULL AND $6 IS NULL)
    ) job
    CROSS JOIN LATERAL (
        SELECT u.id, u.kind FROM gristmill.units u
        WHERE u.job_id = job.id AND u.state = 'pending' AND u.not_before <= now() AND u.epoch = job.epoch
          AND u.state_version = ANY ($2::smallint[]) AND u.id BETWEEN coalesce($5::bigint, 0) AND coalesce($5, 9223372036854775807)
          AND (u.kind <> 'plan' OR (SELECT true FROM gristmill.jobs WHERE id = job.id FOR NO KEY UPDATE SKIP LOCKED))
          -- Long merges and publishes are never given back, so those of one tenant leave a slot to the others, if there are two.
          AND CASE WHEN u.kind IN ('merge', 'publish') AND u.payload ->> 'long' IS NOT NULL
              THEN (SELECT count(*) FROM leased WHERE long AND tenant = job.tenant)
                   < (SELECT greatest(1, sum(coalesce(able, slots)) - 1) FROM gristmill.workers WHERE NOT draining AND seen_at > now() - $4::interval)
              ELSE true END
        ORDER BY u.id LIMIT 1
        FOR UPDATE SKIP LOCKED) unit
    LIMIT 1
), begun AS (
    -- The job of a plan, to be called running in the same step.
    SELECT id, state FROM gristmill.jobs WHERE id = (SELECT job_id FROM picked WHERE kind = 'plan') FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE gristmill.units u
    SET state = 'leased', attempt = u.attempt + 1, worker = $1, leased_at = now(), rung_at = NULL,
        deadline_at = now() + $3::interval * CASE u.kind WHEN 'plan' THEN 24 ELSE 1 END + u.bytes * interval '1 microsecond'
    WHERE u.id = (SELECT id FROM picked WHERE kind <> 'plan' OR EXISTS (SELECT FROM begun WHERE state IN ('queued', 'running')))
      AND (SELECT w.seen_at > now() - $4::interval FROM gristmill.workers w WHERE w.id = $1)
    RETURNING u.*, u.deadline_at - now() AS allowed
), started AS (
    UPDATE gristmill.jobs SET state = 'running', started_at = coalesce(started_at, now()), revision = revision + 1
    WHERE id = (SELECT id FROM begun WHERE state = 'queued') AND EXISTS (SELECT FROM claimed)
)
SELECT * FROM claimed

-- claim_next --
-- What `claim` finds for job $5 in the commonest case, at a third of its price: the job runs, and there is no other. Else nothing.
UPDATE gristmill.units u
SET state = 'leased', attempt = u.attempt + 1, worker = $1, leased_at = now(), rung_at = NULL,
    deadline_at = now() + $3::interval + u.bytes * interval '1 microsecond'
WHERE u.id = (
    SELECT n.id FROM gristmill.jobs j CROSS JOIN LATERAL (
        SELECT c.id FROM gristmill.units c
        WHERE c.job_id = j.id AND c.state = 'pending' AND c.not_before <= now() AND c.epoch = j.epoch
          AND c.state_version = ANY ($2::smallint[])
          AND CASE c.kind WHEN 'plan' THEN false WHEN 'chunk' THEN true ELSE c.payload ->> 'long' IS NULL END
        ORDER BY c.id LIMIT 1
        FOR UPDATE SKIP LOCKED) n
    WHERE j.id = $5 AND j.state = 'running'
      AND (SELECT true FROM gristmill.jobs o WHERE o.state IN ('queued', 'running') AND o.id <> $5 LIMIT 1) IS NULL)
  AND (SELECT w.seen_at > now() - $4::interval FROM gristmill.workers w WHERE w.id = $1)
RETURNING u.*, u.deadline_at - now() AS allowed

-- complete --
UPDATE gristmill.units
SET state = 'done', finished_at = now(), deadline_at = NULL, error = NULL,
    rows_read = $4, rows_aggregated = $5, rows_dropped = $6, rows_out = $7, stats = $8
WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3
RETURNING job_id, no

-- held_by --
SELECT EXISTS (SELECT FROM gristmill.units WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3)

-- completed_by --
SELECT EXISTS (SELECT FROM gristmill.units WHERE id = $1 AND state = 'done' AND attempt = $2 AND worker = $3)

-- give_back --
-- The job's row is locked by the caller; a unit of an ending job is cancelled instead. A unit that somebody is just committing is left
-- alone: a frozen worker in the middle of its commit must not hold up the one who sweeps.
UPDATE gristmill.units u
SET state = CASE WHEN j.state IN ('queued', 'running', 'paused') THEN 'pending' ELSE 'cancelled' END,
    finished_at = CASE WHEN j.state IN ('queued', 'running', 'paused') THEN NULL ELSE now() END,
    deadline_at = NULL, rung_at = NULL, not_before = now() + $4::interval, error = $5,
    deaths = deaths + ($6 = 'death')::int, crashes = crashes + ($6 = 'crash')::int, errors = errors + ($6 = 'error')::int,
    ooms = ooms + ($6 = 'memory')::int, preemptions = preemptions + ($6 = 'preemption')::int
FROM gristmill.jobs j
WHERE u.id = (SELECT id FROM gristmill.units WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3 FOR UPDATE SKIP LOCKED)
  AND j.id = u.job_id
RETURNING u.state

-- fail --
UPDATE gristmill.units
SET state = 'failed', finished_at = now(), deadline_at = NULL, error = $4
WHERE id = (SELECT id FROM gristmill.units WHERE id = $1 AND state = 'leased' AND attempt = $2 AND worker = $3 FOR UPDATE SKIP LOCKED)
RETURNING job_id

-- cancel_pending --
UPDATE gristmill.units SET state = 'cancelled', finished_at = now(), rung_at = NULL WHERE job_id = $1 AND state = 'pending'

-- reset_chunks --
UPDATE gristmill.units
SET state = 'pending', epoch = $2, finished_at = NULL, deadline_at = NULL, rung_at = NULL, not_before = now(),
    rows_read = 0, rows_aggregated = 0, rows_dropped = 0, rows_out = 0, stats = NULL, error = NULL
WHERE job_id = $1 AND kind = 'chunk'

-- forget_chunks --
DELETE FROM gristmill.units WHERE job_id = $1 AND kind = 'chunk'

-- reset_plan --
UPDATE gristmill.units
SET state = 'pending', epoch = $2, payload = $3, finished_at = NULL, rung_at = NULL, not_before = now(),
    deaths = 0, crashes = 0, errors = 0, ooms = 0, preemptions = 0
WHERE job_id = $1 AND kind = 'plan'

-- rebase --
UPDATE gristmill.units SET epoch = $2 WHERE job_id = $1 AND epoch <> $2

-- retry --
UPDATE gristmill.units
SET state = 'pending', epoch = $2, finished_at = NULL, rung_at = NULL, not_before = now(), error = NULL,
    deaths = 0, crashes = 0, errors = 0, ooms = 0, preemptions = 0
WHERE job_id = $1 AND state IN ('failed', 'cancelled')

-- forget_merging --
DELETE FROM gristmill.units WHERE job_id = $1 AND kind IN ('merge', 'publish')

-- pruned --
-- Whether a finished chunk's groups are gone.
SELECT EXISTS (
    SELECT FROM gristmill.units u
    WHERE job_id = $1 AND kind = 'chunk' AND state = 'done' AND rows_out > 0
      AND NOT EXISTS (SELECT FROM gristmill.partials p WHERE p.job_id = u.job_id AND p.chunk = u.no))

-- insert --
-- They continue what the job's plan began, so they are of its version of states, whoever makes them.
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, payload, bytes)
SELECT $1, $2, unit.no, $3, (SELECT p.state_version FROM gristmill.units p WHERE p.job_id = $1 AND p.kind = 'plan'), unit.payload, unit.bytes
FROM unnest($4::integer[], $5::json[], $6::bigint[]) AS unit (no, payload, bytes)

-- unfinished --
-- A look that reads one row at most, however many units the job has.
SELECT EXISTS (SELECT FROM gristmill.units WHERE job_id = $1 AND state = 'pending')
    OR EXISTS (SELECT FROM gristmill.units WHERE job_id = $1 AND state = 'leased')

-- all_done --
SELECT NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = $1 AND state <> 'done')

-- to_publish --
-- What the merges of job $1 have written: rows, and bytes of its table.
SELECT coalesce(sum(rows_out), 0)::bigint AS rows,
       coalesce(pg_table_size(to_regclass('gristmill_results.' || quote_ident($1))), 0)::bigint AS bytes
FROM gristmill.units WHERE job_id = $1 AND kind = 'merge'

-- merged --
SELECT rows_out, stats FROM gristmill.units WHERE job_id = $1 AND kind = 'merge' AND state = 'done' ORDER BY no

-- due --
-- Units to ring for: for the first time only so many that with the $5 messages in Redis they are at most as many as live slots without a
-- lease, because a busy slot looks for more work by itself. Which units they are matters little: whoever hears the ring claims the fairest.
-- A message that nobody answered is sent again, under another number.
WITH rung AS MATERIALIZED (
    SELECT u.id FROM gristmill.units u
    WHERE u.state = 'pending' AND u.rung_at IS NOT NULL AND u.not_before <= now() AND u.state_version = ANY ($4::smallint[])
      AND (SELECT j.state FROM gristmill.jobs j WHERE j.id = u.job_id) IN ('queued', 'running')
    ORDER BY u.rung_at
), room AS MATERIALIZED (
    SELECT greatest(0, coalesce(sum(greatest(0, w.slots - coalesce(busy, 0))), 0) - greatest($5, (SELECT count(*) FROM rung))) AS free
    FROM gristmill.workers w
    LEFT JOIN (SELECT worker, count(*) AS busy FROM gristmill.units WHERE state = 'leased' GROUP BY worker) l ON l.worker = w.id
    WHERE NOT w.draining AND w.seen_at > now() - $3::interval
), fresh AS (
    SELECT u.id
    FROM gristmill.jobs j
    CROSS JOIN LATERAL (
        SELECT c.id FROM gristmill.units c
        WHERE c.job_id = j.id AND c.state = 'pending' AND c.rung_at IS NULL AND c.not_before <= now() AND c.state_version = ANY ($4::smallint[])
        ORDER BY c.id LIMIT (SELECT free FROM room)) u
    WHERE j.state IN ('queued', 'running')
    LIMIT (SELECT free FROM room)
), chosen AS (
    -- Another pass may have rung since this statement's snapshot. The lock reads the row again, so the time of its ring is compared here.
    -- With none left in Redis the messages are lost, and there is no need to wait.
    SELECT id FROM gristmill.units
    WHERE state = 'pending' AND id = ANY (ARRAY(SELECT id FROM fresh UNION ALL SELECT id FROM rung))
      AND (rung_at IS NULL
           OR rung_at <= now() - CASE $5 WHEN 0 THEN $6::interval ELSE least($1::interval * power(2, least(rings - 1, 10)), $2::interval) END)
    FOR UPDATE SKIP LOCKED
)
UPDATE gristmill.units u SET rung_at = now(), rings = u.rings + 1
WHERE u.id = ANY (ARRAY(SELECT id FROM chosen))
RETURNING u.id, u.rings

-- expired --
-- Leases that ended without their worker: it died, or the deadline passed. Never soon after Postgres' own start.
SELECT u.id, u.job_id, u.kind, u.no, u.epoch, u.attempt, u.worker, u.deaths, u.crashes, u.errors, u.ooms,
       coalesce(w.seen_at <= now() - $1::interval, true) AS worker_died
FROM gristmill.units u LEFT JOIN gristmill.workers w ON w.id = u.worker
WHERE u.state = 'leased'
  AND (u.deadline_at <= now() OR coalesce(w.seen_at <= now() - $1::interval, true))
  AND pg_postmaster_start_time() < now() - $2::interval
ORDER BY u.id LIMIT 100

-- of_job --
SELECT * FROM gristmill.units WHERE job_id = $1 ORDER BY id
