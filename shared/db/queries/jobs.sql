-- insert --
-- Store a new job, unless its tenant has used the idempotency key before.
-- With it come the next version number of its name, its first unit and the first entry of its history. Each
-- statement costs a round trip, so this one also reads the own limits of the tenant.
WITH numbered AS (
    INSERT INTO gristmill.results AS r (tenant, name, last_version)
    SELECT @tenant::text, @result_name::text, 1 WHERE @result_name IS NOT NULL
    ON CONFLICT (tenant, name) DO UPDATE SET last_version = r.last_version + 1
    RETURNING last_version
), job AS (
    INSERT INTO gristmill.jobs (id, tenant, kind, spec, spec_digest, idempotency_key, priority, labels, result_name,
                                version, kept_versions, uploads, sources, expires, max_parallel,
                                deadline, deadline_at, from_plan, traceparent)
    VALUES (@id, @tenant, @kind, @spec, @spec_digest, @idempotency_key, @priority, @labels, @result_name,
            (SELECT last_version FROM numbered), @kept_versions, @uploads, @sources, @expires::interval,
            @max_parallel, @deadline::interval, now() + @deadline::interval, @from_plan,
            @traceparent)
    ON CONFLICT (tenant, idempotency_key) DO NOTHING
    RETURNING *
), unit AS (
    INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, payload)
    SELECT id, 'plan', 0, 1, @state_version::smallint, @payload::json FROM job
), noted AS (
    SELECT id AS job_id, 1 AS nth, 'submitted' AS event, @said::json AS said FROM job
), told AS (
{_note}
)
SELECT job.*, (SELECT to_json(t) FROM gristmill.tenants t WHERE t.tenant = @tenant) AS limits FROM job

-- by_idempotency_key --
-- The job that a key of a tenant made.
SELECT * FROM gristmill.jobs WHERE tenant = @tenant AND idempotency_key = @idempotency_key

-- get --
-- One job of a tenant; no dry run.
SELECT * FROM gristmill.jobs WHERE tenant = @tenant AND id = @id AND kind = 'job'

-- exists --
-- Whether a tenant has a job.
SELECT EXISTS (SELECT FROM gristmill.jobs WHERE tenant = @tenant AND id = @id AND kind = 'job')

-- standing --
-- The state and the phase of some jobs.
SELECT id, state, phase FROM gristmill.jobs WHERE id = ANY (@ids::text[])

-- _fits --
-- Whether a job is of a tenant and fits each field of a filter that is not null. Dry runs do not.
tenant = @tenant AND kind = 'job'
          AND (@state::text IS NULL OR state = @state)
          AND (@labels::jsonb IS NULL OR labels @> @labels)
          AND (@name::text IS NULL OR result_name = @name)
          AND (@created_after::timestamptz IS NULL OR created_at >= @created_after)
          AND (@created_before::timestamptz IS NULL OR created_at < @created_before)
          AND (@error_code::text IS NULL OR error ->> 'code' = @error_code)
          AND (@source::text IS NULL OR strpos(sources, @source) > 0)

-- matching --
-- The jobs that fit a filter, oldest first.
SELECT id FROM gristmill.jobs WHERE {_fits} ORDER BY id LIMIT @most

-- newest --
-- The newest jobs of a tenant that fit a filter, older than @after.
-- The list ends early when the fields that may have any size take more than @bytes octets; `further` says
-- whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(id) OVER sofar IS NOT NULL AS further FROM (
        SELECT id, tenant, state, phase, epoch, revision, NULL::json AS spec, spec_digest, labels,
               result_name, version, NULL::json AS plan, error, result, created_at, priority, expires,
               deadline_at, started_at, planned_at, scanned_at, merged_at, finished_at, waits, from_plan,
               octet_length(concat(labels, error, result)) AS size
        FROM gristmill.jobs
        WHERE {_fits}
          AND (@after::text IS NULL OR id < @after)
        ORDER BY id DESC
        LIMIT @most::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY id DESC
LIMIT @most::bigint

-- work --
-- The part of a job that its units need.
SELECT id, tenant, state, phase, epoch, spec, plan, result_name, version, traceparent
FROM gristmill.jobs WHERE id = @id

-- lock --
-- Lock a job.
-- NO KEY: a chunk's commit holds its unit, and then needs only that the job exists, for a foreign key. The
-- two locks must not meet.
SELECT id, tenant, state, phase, epoch FROM gristmill.jobs WHERE id = @id FOR NO KEY UPDATE

-- lock_of_tenant --
-- Lock a job of a tenant; no dry run.
SELECT id, state, phase, epoch, error, charged_bytes FROM gristmill.jobs
WHERE tenant = @tenant AND id = @id AND kind = 'job'
FOR NO KEY UPDATE

-- lock_to_change --
-- Lock a job of a tenant, with the columns that a change of it may touch.
SELECT state, finished_at IS NOT NULL AS done, revision, priority, labels, deadline_at
FROM gristmill.jobs WHERE tenant = @tenant AND id = @id AND kind = 'job'
FOR NO KEY UPDATE

-- change --
-- Give a job another priority, other labels and, if so asked, another deadline from now on.
UPDATE gristmill.jobs
SET priority = @priority, labels = @labels, revision = revision + 1,
    deadline = CASE WHEN @move::boolean THEN @deadline::interval ELSE deadline END,
    deadline_at = CASE WHEN @move THEN now() + @deadline::interval ELSE deadline_at END
WHERE id = @id
RETURNING deadline_at

-- lock_of_unit --
-- Lock the job of a unit.
SELECT id FROM gristmill.jobs WHERE id = (SELECT job_id FROM gristmill.units WHERE id = @unit)
FOR NO KEY UPDATE

-- set_planned --
-- Store the plan; scanning begins, unless its tenant may not scan so many bytes today.
WITH {_charged}, planned AS (
    UPDATE gristmill.jobs
    SET plan = @plan, phase = 'scanning', planned_at = now(), revision = revision + 1,
        charged_bytes = greatest(charged_bytes, @bytes)
    WHERE id = @id AND EXISTS (SELECT FROM charged)
    RETURNING id
), noted AS (
    SELECT id AS job_id, 1 AS nth, 'planned' AS event, @said::json AS said FROM planned
)
{_note}
RETURNING e.event

-- set_widened --
-- Store a plan with wider types; a new epoch begins.
UPDATE gristmill.jobs SET plan = @plan, epoch = epoch + 1, revision = revision + 1 WHERE id = @id

-- set_planning --
-- Forget the plan; a new epoch begins.
UPDATE gristmill.jobs
SET plan = NULL, phase = 'planning', planned_at = NULL, epoch = epoch + 1, revision = revision + 1,
    fan_in_errors = 0
WHERE id = @id

-- set_phase --
-- Begin the next phase after scanning or merging.
UPDATE gristmill.jobs
SET phase = @phase, revision = revision + 1, fan_in_errors = 0,
    scanned_at = CASE WHEN @phase = 'merging' THEN now() ELSE scanned_at END,
    merged_at = CASE WHEN @phase = 'publishing' THEN now() ELSE merged_at END
WHERE id = @id

-- charge_fan_in --
-- Count an unexpected error of the step to the next phase of a running job.
UPDATE gristmill.jobs SET fan_in_errors = fan_in_errors + 1 WHERE id = @id AND state = 'running'
RETURNING fan_in_errors

-- set_succeeded --
-- End a job with its result; answers how long it took.
WITH ended AS (
    UPDATE gristmill.jobs
    SET state = 'succeeded', result = @result, receipt = @receipt, finished_at = now(), revision = revision + 1
    WHERE id = @id
    RETURNING *
), noted AS (
    SELECT id AS job_id, 1 AS nth, 'published' AS event, @said::json AS said FROM ended
    UNION ALL SELECT id, 2, 'succeeded', json_build_object() FROM ended
), told AS (
{_note}
)
SELECT kind, state, extract(epoch FROM finished_at - created_at)::float8 AS seconds FROM ended

-- pause --
-- Hand out no more units of a job.
UPDATE gristmill.jobs SET state = 'paused', revision = revision + 1 WHERE id = @id

-- resume --
-- Hand out the units of a paused job again.
UPDATE gristmill.jobs
SET state = CASE WHEN started_at IS NULL THEN 'queued' ELSE 'running' END, revision = revision + 1
WHERE id = @id

-- retry --
-- Begin a failed or cancelled job again, in a new epoch and with a new deadline.
-- A gateway without the column `deadline` may have submitted it.
UPDATE gristmill.jobs
SET state = CASE WHEN started_at IS NULL THEN 'queued' ELSE 'running' END,
    phase = CASE phase WHEN 'planning' THEN phase ELSE 'scanning' END,
    epoch = epoch + 1, revision = revision + 1,
    deadline = coalesce(deadline, deadline_at - created_at),
    deadline_at = now() + coalesce(deadline, deadline_at - created_at),
    error = NULL, scanned_at = NULL, merged_at = NULL, finished_at = NULL, fan_in_errors = 0, waits = false
WHERE id = @id

-- overdue --
-- Find live jobs past their deadline.
SELECT id FROM gristmill.jobs
WHERE deadline_at <= now() AND finished_at IS NULL AND state IN ('queued', 'running', 'paused')
ORDER BY deadline_at LIMIT 100

-- lock_overdue --
-- Lock a job if it is still past its deadline, and no other session holds it.
SELECT spec, deadline, deadline_at, kind FROM gristmill.jobs
WHERE id = @id AND deadline_at <= now() AND state IN ('queued', 'running', 'paused')
FOR NO KEY UPDATE SKIP LOCKED

-- set_ending --
-- Begin the end of a live job: cancelled, or failed if there is an error.
UPDATE gristmill.jobs SET state = 'cancelling', error = @error, revision = revision + 1
WHERE id = @id AND state IN ('queued', 'running', 'paused')

-- finish_ending --
-- End a job once none of its units is pending or leased; answers how long it took.
WITH ended AS (
    UPDATE gristmill.jobs
    SET state = CASE WHEN error IS NULL THEN 'cancelled' ELSE 'failed' END, finished_at = now(),
        revision = revision + 1
    WHERE id = @id AND state = 'cancelling'
      AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = @id AND state = 'pending')
      AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = @id AND state = 'leased')
    RETURNING *
), noted AS (
    SELECT id AS job_id, 1 AS nth, state AS event, json_strip_nulls(json_build_object('error', error)) AS said
    FROM ended
), told AS (
{_note}
)
SELECT kind, state, extract(epoch FROM finished_at - created_at)::float8 AS seconds FROM ended

-- stalled --
-- Find jobs without work whose fan-in or end was lost between two transactions.
SELECT id FROM gristmill.jobs j
WHERE state IN ('running', 'cancelling')
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = j.id AND state = 'pending')
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = j.id AND state = 'leased')
ORDER BY id LIMIT 100
