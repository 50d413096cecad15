-- lock_job --
-- Lock a job of a tenant that is to be deleted: no retry begins meanwhile.
SELECT id, state, finished_at IS NOT NULL AS done FROM gristmill.jobs WHERE tenant = @tenant AND id = @id AND kind = 'job'
FOR UPDATE

-- version_of_job --
-- The version that a job has published, locked, and how many versions its name has.
SELECT v.name, v.version, r.current IS NOT DISTINCT FROM v.version AS current,
       (SELECT count(*) FROM gristmill.versions o WHERE o.tenant = v.tenant AND o.name = v.name) AS versions
FROM gristmill.versions v LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.job_id = @job_id
FOR UPDATE OF v

-- job --
-- Delete a job; its units, partials, bad rows and history go with it.
DELETE FROM gristmill.jobs WHERE id = @id

-- versions_of_name --
-- The versions of a name, newest first, locked. The name is locked before, so no job publishes meanwhile.
SELECT v.job_id, v.version,
       coalesce(v.published_at + (SELECT j.expires FROM gristmill.jobs j WHERE j.id = v.job_id) <= now(), false)
           AS expired
FROM gristmill.versions v WHERE v.tenant = @tenant AND v.name = @name
ORDER BY v.version DESC
FOR UPDATE

-- versions --
-- Delete the rows of some versions.
DELETE FROM gristmill.versions WHERE job_id = ANY (@job_ids::text[])
