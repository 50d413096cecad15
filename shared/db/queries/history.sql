-- _note --
-- Write the entries of `noted` (job_id, nth, event, said) into the history of their job, whose row is locked.
-- The bound is shared.core.history.MOST_ENTRIES: an event beyond it is counted in one entry of its kind.
INSERT INTO gristmill.job_events AS e (job_id, no, at, event, said)
SELECT n.job_id,
       CASE WHEN last.no + n.nth <= 1000 THEN last.no + n.nth
       ELSE 1000 + array_position(
           ARRAY['submitted', 'planned', 'widened', 'planned_again', 'attempt_failed', 'paused', 'resumed',
                 'cancel_requested', 'retried', 'changed', 'deadline_passed', 'published', 'succeeded', 'failed',
                 'cancelled'], n.event) END,
       now(), n.event, n.said
FROM noted n CROSS JOIN LATERAL (
    SELECT coalesce(max(no), 0) AS no FROM gristmill.job_events WHERE job_id = n.job_id AND no <= 1000) last
ON CONFLICT (job_id, no) DO UPDATE SET at = excluded.at, said = excluded.said, count = e.count + 1

-- append --
-- Write one entry into the history of a job whose row is locked.
WITH noted AS (SELECT @job_id::text AS job_id, 1 AS nth, @event::text AS event, @said::json AS said)
{_note}

-- page --
-- The history of a job, from the entry after number @after on.
-- The list ends early when the entries take more than @bytes octets; `further` says whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(no) OVER sofar IS NOT NULL AS further FROM (
        SELECT no, at, event, count, said, octet_length(said::text) AS size
        FROM gristmill.job_events
        WHERE job_id = @job_id AND no > @after
        ORDER BY no
        LIMIT @most::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY no ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY no
LIMIT @most::bigint

-- causes --
-- The failed attempts of a job's units by their cause, the most frequent first: how many, and the last of them.
SELECT said ->> 'kind' AS kind, said ->> 'charge' AS charge, said -> 'error' ->> 'code' AS code,
       sum(count)::bigint AS attempts, max(at) AS last_at,
       (array_agg(said -> 'error' ->> 'detail' ORDER BY no DESC))[1] AS detail,
       (array_agg((said ->> 'no')::integer ORDER BY no DESC))[1] AS no,
       (array_agg(said ->> 'worker' ORDER BY no DESC))[1] AS worker
FROM gristmill.job_events
WHERE job_id = @job_id AND event = 'attempt_failed'
GROUP BY 1, 2, 3
ORDER BY attempts DESC, last_at DESC
LIMIT @most
