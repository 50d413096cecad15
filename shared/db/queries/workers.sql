-- beat --
-- The heartbeat of a worker; the first one registers it.
INSERT INTO gristmill.workers AS w (id, host, pid, version, slots, able)
VALUES (@worker, @host, @pid, @version, @slots, @able)
ON CONFLICT (id) DO UPDATE SET seen_at = now(), draining = @draining, able = @able

-- held --
-- The leases of a worker, and whether their work is still wanted.
-- A lease past its deadline is wanted until a sweeper has taken it back, and charged it.
SELECT u.id, u.attempt, j.state IN ('queued', 'running', 'paused') AS wanted
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id
WHERE u.worker = @worker AND u.state = 'leased'

-- able --
-- How many workers live, and how many of them have a slot that is at work or can take some.
SELECT count(*) AS live, count(*) FILTER (WHERE coalesce(able, slots) > 0) AS able
FROM gristmill.workers WHERE seen_at > now() - @lease::interval

-- leave --
-- Sign a worker off.
DELETE FROM gristmill.workers WHERE id = @worker
