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

-- rivals --
-- Every lease of a live worker and of a state version; how many slots are free; and how many tenants have
-- waited for a while without any lease.
WITH RECURSIVE tenants AS (
    (SELECT tenant FROM gristmill.jobs WHERE state IN ('queued', 'running') ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT j.tenant FROM gristmill.jobs j
            WHERE j.state IN ('queued', 'running') AND j.tenant > t.tenant ORDER BY j.tenant LIMIT 1)
    FROM tenants t WHERE t.tenant IS NOT NULL
), live AS MATERIALIZED (
    SELECT id, coalesce(able, slots) AS slots FROM gristmill.workers
    WHERE NOT draining AND seen_at > now() - @lease::interval
), leased AS MATERIALIZED (
    SELECT u.id, u.attempt, u.worker, u.kind, u.preemptions, u.state_version, now() - u.leased_at AS ran,
           (SELECT j.tenant FROM gristmill.jobs j WHERE j.id = u.job_id) AS tenant
    FROM gristmill.units u WHERE u.state = 'leased'
)
SELECT l.id AS unit, l.attempt, l.worker, l.kind, l.preemptions, l.ran, l.tenant,
       (SELECT sum(slots) FROM live)
       - (SELECT count(*) FROM leased WHERE worker IN (SELECT id FROM live)) AS free,
       (SELECT count(*) FROM tenants t
        WHERE t.tenant IS NOT NULL AND t.tenant NOT IN (SELECT tenant FROM leased)
          AND (SELECT true FROM gristmill.jobs j
               WHERE j.tenant = t.tenant AND j.state IN ('queued', 'running')
                 AND (SELECT true FROM gristmill.units u
                      WHERE u.job_id = j.id AND u.state = 'pending' AND u.state_version = @state_version
                        AND u.not_before <= now() - @waited::interval LIMIT 1)
               LIMIT 1)) AS waiting
FROM leased l
WHERE l.state_version = @state_version AND l.worker IN (SELECT id FROM live)

-- able --
-- How many workers live, and how many of them have a slot that is at work or can take some.
SELECT count(*) AS live, count(*) FILTER (WHERE coalesce(able, slots) > 0) AS able
FROM gristmill.workers WHERE seen_at > now() - @lease::interval

-- leave --
-- Sign a worker off.
DELETE FROM gristmill.workers WHERE id = @worker
