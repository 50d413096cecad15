-- Plans, payloads and states of version {version} are not those of before, and a worker takes units of its own version
-- only. So each job that can still go on, or be tried again, begins anew in a new epoch: no late commit counts.
-- One that is cancelling has no live unit then, and the sweeper ends it.
CREATE TEMPORARY TABLE begun_before_{version} ON COMMIT DROP AS
SELECT id, state IN ('queued', 'running', 'paused') AS live FROM gristmill.jobs j
WHERE state IN ('queued', 'running', 'paused', 'cancelling', 'failed', 'cancelled')
  AND EXISTS (SELECT FROM gristmill.units u WHERE u.job_id = j.id AND u.state_version < {version});

UPDATE gristmill.jobs j
SET plan = NULL, phase = 'planning', planned_at = NULL, scanned_at = NULL, merged_at = NULL, fan_in_errors = 0,
    epoch = epoch + 1, revision = revision + 1
FROM begun_before_{version} WHERE j.id = begun_before_{version}.id;

DELETE FROM gristmill.units u USING begun_before_{version} WHERE u.job_id = begun_before_{version}.id AND u.kind <> 'plan';

UPDATE gristmill.units u
SET state_version = {version}, epoch = j.epoch, payload = '{"prove": true}', deadline_at = NULL, rung_at = NULL,
    state = CASE WHEN live THEN 'pending' ELSE 'cancelled' END,
    finished_at = CASE WHEN live THEN NULL ELSE coalesce(u.finished_at, now()) END,
    not_before = now(), deaths = 0, crashes = 0, errors = 0, ooms = 0, preemptions = 0
FROM begun_before_{version} JOIN gristmill.jobs j ON j.id = begun_before_{version}.id
WHERE u.job_id = begun_before_{version}.id;

DELETE FROM gristmill.partials p USING begun_before_{version} WHERE p.job_id = begun_before_{version}.id;

DO $$ DECLARE job text; BEGIN FOR job IN SELECT id FROM begun_before_{version} LOOP
    EXECUTE format('DROP TABLE IF EXISTS gristmill_results.%I', job); END LOOP; END $$;
