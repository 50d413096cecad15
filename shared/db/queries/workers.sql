-- beat --
INSERT INTO gristmill.workers AS w (id, host, pid, version, slots) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET seen_at = now(), draining = $6

-- held --
-- The leases of a worker, and whether their work is still wanted.
SELECT u.id, u.attempt, u.deadline_at > now() AND j.state IN ('queued', 'running', 'paused') AS wanted
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id
WHERE u.worker = $1 AND u.state = 'leased'

-- leave --
DELETE FROM gristmill.workers WHERE id = $1
