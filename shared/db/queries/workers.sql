-- beat --
-- The heartbeat of a worker; the first one registers it. Answers whether it was asked to drain.
INSERT INTO gristmill.workers AS w
    (id, host, pid, version, slots, able, state_version, rss_bytes, cpu_seconds, cpu_cores, settings)
VALUES (@worker, @host, @pid, @version, @slots, @able, @state_version, @rss_bytes, @cpu_seconds, @cpu_cores,
        @settings::json)
ON CONFLICT (id) DO UPDATE
SET seen_at = now(), draining = @draining OR w.drain_asked_at IS NOT NULL, able = @able,
    rss_bytes = @rss_bytes, cpu_seconds = @cpu_seconds, cpu_cores = @cpu_cores
RETURNING drain_asked_at IS NOT NULL

-- page --
-- Workers by id, with the units that they hold: all behind @after, or the one that is @worker.
-- The list ends early when the units take more than @bytes octets; `further` says whether others follow.
WITH leased AS MATERIALIZED (
    SELECT worker, json_agg(json_build_object('id', id, 'job', job_id, 'kind', kind, 'no', no,
                                              'since', leased_at) ORDER BY id) AS units
    FROM gristmill.units WHERE state = 'leased' GROUP BY worker
)
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(id) OVER sofar IS NOT NULL AS further FROM (
        SELECT w.id, w.host, w.pid, w.version, w.state_version, w.slots, coalesce(w.able, w.slots) AS able,
               w.started_at, w.seen_at, greatest(now() - w.seen_at, '0') AS silent,
               w.draining OR w.drain_asked_at IS NOT NULL AS draining,
               w.seen_at <= now() - @lease::interval AS gone,
               w.rss_bytes, w.cpu_seconds, w.cpu_cores, w.settings, coalesce(l.units, '[]') AS units,
               octet_length(concat(l.units)) AS size
        FROM gristmill.workers w LEFT JOIN leased l ON l.worker = w.id
        WHERE (@after::text IS NULL OR w.id > @after) AND (@worker::text IS NULL OR w.id = @worker)
        ORDER BY w.id
        LIMIT @most::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY id ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY id
LIMIT @most::bigint

-- ask_to_drain --
-- Ask a live worker to drain; it hears of it at its next heartbeat, and counts as draining from now on.
UPDATE gristmill.workers SET draining = true, drain_asked_at = coalesce(drain_asked_at, now())
WHERE id = @worker AND seen_at > now() - @lease::interval

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
