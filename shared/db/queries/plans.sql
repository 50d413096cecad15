-- get --
-- A dry run of a tenant, and its findings once there are any. @kept ago it has expired.
SELECT j.*, p.look, j.finished_at < now() - @kept::interval AS expired
FROM gristmill.jobs j LEFT JOIN gristmill.plans p ON p.job_id = j.id
WHERE j.tenant = @tenant AND j.id = @id AND j.kind <> 'job'

-- insert --
-- Store the plan of a dry run, and its findings.
INSERT INTO gristmill.plans (job_id, state_version, plan, chunks, look)
VALUES (@job_id, @state_version, @plan, @chunks, @look)

-- copy --
-- Give a new job the plan of a dry run that a worker of this state version has made.
INSERT INTO gristmill.plans (job_id, state_version, plan, chunks)
SELECT @job_id, p.state_version, p.plan, p.chunks
FROM gristmill.plans p JOIN gristmill.jobs j ON j.id = p.job_id
WHERE p.job_id = @plan AND p.state_version = @state_version AND j.tenant = @tenant AND j.kind = 'plan'
RETURNING job_id

-- stored --
-- The plan that a job begins with. Texts: objects of 100,000 chunks would delay the heartbeat.
SELECT plan::text AS plan, chunks::text AS chunks FROM gristmill.plans WHERE job_id = @job_id

-- delete --
-- Forget the plan that a job has begun with.
DELETE FROM gristmill.plans WHERE job_id = @job_id

-- delete_run --
-- Delete a dry run of a tenant, with its unit, its findings and its history.
-- One under way loses its lease with the unit, so the fence refuses its commit.
DELETE FROM gristmill.jobs WHERE tenant = @tenant AND id = @id AND kind <> 'job'
RETURNING id

-- set_looked --
-- End a dry run, whose job has only planned; answers how long it took.
WITH ended AS (
    UPDATE gristmill.jobs
    SET state = 'succeeded', planned_at = now(), finished_at = now(), revision = revision + 1
    WHERE id = @id
    RETURNING *
), noted AS (
    SELECT id AS job_id, 1 AS nth, 'succeeded' AS event, json_build_object() AS said FROM ended
), told AS (
{_note}
)
SELECT kind, state, extract(epoch FROM finished_at - created_at)::float8 AS seconds FROM ended

-- recent --
-- Bytes and seconds of the newest jobs of a format that have succeeded lately.
-- A plan may hold NUL, in the name of a column: then ->> raises, whichever field it asks for.
SELECT bytes, seconds FROM (
    SELECT (readable ->> 'bytes')::bigint AS bytes, readable ->> 'format' AS format,
           extract(epoch FROM finished_at - planned_at)::float8 AS seconds
    FROM gristmill.jobs CROSS JOIN LATERAL (SELECT replace(plan::text, '\u0000', '\ufffd')::json AS readable) AS read
    WHERE finished_at > now() - interval '7 days' AND state = 'succeeded' AND kind = 'job'
    ORDER BY finished_at DESC LIMIT 50) AS newest
WHERE format = @format AND seconds IS NOT NULL
LIMIT 20
