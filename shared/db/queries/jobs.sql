-- insert --
INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest, idempotency_key, priority, labels, result_name, version, deadline_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10::interval)
ON CONFLICT (tenant, idempotency_key) DO NOTHING
RETURNING *

-- insert_plan_unit --
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version) VALUES ($1, 'plan', 0, 1, $2)

-- next_version --
INSERT INTO gristmill.results AS r (tenant, name, last_version) VALUES ($1, $2, 1)
ON CONFLICT (tenant, name) DO UPDATE SET last_version = r.last_version + 1
RETURNING last_version

-- by_idempotency_key --
SELECT * FROM gristmill.jobs WHERE tenant = $1 AND idempotency_key = $2

-- get --
SELECT * FROM gristmill.jobs WHERE tenant = $1 AND id = $2

-- standing --
SELECT id, state, phase FROM gristmill.jobs WHERE id = ANY ($1::text[])

-- newest --
-- Ends early when what has no size of its own takes more than $6 octets together; `further` says whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(id) OVER sofar IS NOT NULL AS further FROM (
        SELECT id, tenant, state, phase, epoch, revision, NULL::json AS spec, spec_digest, labels, result_name, version,
               NULL::json AS plan, error, result, created_at, deadline_at, started_at, planned_at, scanned_at, merged_at, finished_at,
               octet_length(concat(labels, error, result)) AS size
        FROM gristmill.jobs
        WHERE tenant = $1
          AND ($2::text IS NULL OR state = $2)
          AND ($3::jsonb IS NULL OR labels @> $3)
          AND ($4::text IS NULL OR id < $4)
        ORDER BY id DESC
        LIMIT $5::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < $6::bigint
ORDER BY id DESC
LIMIT $5::bigint

-- progress --
-- bytes_weighed: of what is done, the share that scanning has of the whole cost of a chunk. A state costs as much as 36 bytes while it is
-- scanned, and as 80 more while it is merged, written and indexed (two cores; a byte of CSV takes about 0.05 microseconds).
SELECT job_id,
       count(*) FILTER (WHERE kind = 'chunk') AS chunks_total,
       count(*) FILTER (WHERE kind = 'chunk' AND state = 'done') AS chunks_done,
       count(*) FILTER (WHERE kind = 'chunk' AND state = 'leased') AS chunks_leased,
       count(*) FILTER (WHERE kind = 'chunk' AND state = 'failed') AS chunks_failed,
       count(*) FILTER (WHERE kind = 'merge') AS merges_total,
       count(*) FILTER (WHERE kind = 'merge' AND state = 'done') AS merges_done,
       coalesce(sum(rows_read) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_read,
       coalesce(sum(rows_aggregated) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_aggregated,
       coalesce(sum(rows_dropped) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_dropped,
       coalesce(sum(bytes) FILTER (WHERE kind = 'chunk'), 0)::bigint AS bytes_total,
       coalesce(sum(bytes) FILTER (WHERE kind = 'chunk' AND state = 'done'), 0)::bigint AS bytes_done,
       coalesce(sum((bytes * (bytes + 36 * rows_out)::float8 / nullif(bytes + 116 * rows_out, 0))::bigint)
                FILTER (WHERE kind = 'chunk' AND state = 'done'), 0)::bigint AS bytes_weighed
FROM gristmill.units
WHERE job_id = ANY ($1::text[])
GROUP BY job_id

-- lock --
-- NO KEY: a chunk's commit holds its unit and then only needs the job to exist, for a foreign key; the two must not meet.
SELECT id, tenant, state, phase, epoch FROM gristmill.jobs WHERE id = $1 FOR NO KEY UPDATE

-- lock_of_tenant --
SELECT id, state, phase, epoch, spec, error FROM gristmill.jobs WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE

-- lock_of_unit --
SELECT id FROM gristmill.jobs WHERE id = (SELECT job_id FROM gristmill.units WHERE id = $1) FOR NO KEY UPDATE

-- work --
SELECT id, tenant, state, phase, epoch, spec, plan, result_name, version FROM gristmill.jobs WHERE id = $1

-- set_planned --
UPDATE gristmill.jobs SET plan = $2, phase = 'scanning', planned_at = now(), revision = revision + 1 WHERE id = $1

-- set_widened --
UPDATE gristmill.jobs SET plan = $2, epoch = epoch + 1, revision = revision + 1 WHERE id = $1

-- set_planning --
UPDATE gristmill.jobs
SET plan = NULL, phase = 'planning', planned_at = NULL, epoch = epoch + 1, revision = revision + 1, fan_in_errors = 0
WHERE id = $1

-- set_phase --
UPDATE gristmill.jobs
SET phase = $2, revision = revision + 1, fan_in_errors = 0,
    scanned_at = CASE WHEN $2 = 'merging' THEN now() ELSE scanned_at END,
    merged_at = CASE WHEN $2 = 'publishing' THEN now() ELSE merged_at END
WHERE id = $1

-- set_ending --
UPDATE gristmill.jobs SET state = 'cancelling', error = $2, revision = revision + 1
WHERE id = $1 AND state IN ('queued', 'running', 'paused')

-- pause --
UPDATE gristmill.jobs SET state = 'paused', revision = revision + 1 WHERE id = $1

-- resume --
UPDATE gristmill.jobs SET state = CASE WHEN started_at IS NULL THEN 'queued' ELSE 'running' END, revision = revision + 1 WHERE id = $1

-- retry --
UPDATE gristmill.jobs
SET state = CASE WHEN started_at IS NULL THEN 'queued' ELSE 'running' END, phase = CASE phase WHEN 'planning' THEN phase ELSE 'scanning' END,
    epoch = epoch + 1, revision = revision + 1, deadline_at = now() + $2::interval,
    error = NULL, scanned_at = NULL, merged_at = NULL, finished_at = NULL, fan_in_errors = 0
WHERE id = $1

-- charge_fan_in --
UPDATE gristmill.jobs SET fan_in_errors = fan_in_errors + 1 WHERE id = $1 AND state = 'running' RETURNING fan_in_errors

-- overdue --
SELECT id FROM gristmill.jobs
WHERE deadline_at <= now() AND finished_at IS NULL AND state IN ('queued', 'running', 'paused')
ORDER BY deadline_at LIMIT 100

-- lock_overdue --
SELECT spec -> 'options' ->> 'deadline' AS deadline, deadline_at FROM gristmill.jobs
WHERE id = $1 AND deadline_at <= now() AND state IN ('queued', 'running', 'paused')
FOR NO KEY UPDATE SKIP LOCKED

-- set_succeeded --
UPDATE gristmill.jobs SET state = 'succeeded', result = $2, receipt = $3, finished_at = now(), revision = revision + 1 WHERE id = $1

-- finish_ending --
UPDATE gristmill.jobs
SET state = CASE WHEN error IS NULL THEN 'cancelled' ELSE 'failed' END, finished_at = now(), revision = revision + 1
WHERE id = $1 AND state = 'cancelling'
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = $1 AND state = 'pending')
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = $1 AND state = 'leased')
RETURNING state

-- stalled --
-- Jobs whose fan-in or whose end was lost between two transactions.
SELECT id FROM gristmill.jobs j
WHERE state IN ('running', 'cancelling')
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = j.id AND state = 'pending')
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = j.id AND state = 'leased')
ORDER BY id LIMIT 100
