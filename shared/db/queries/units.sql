-- How units move, in short; docs/reliability.md has the whole protocol.
--
-- A unit is pending until a worker claims it. Each claim raises `attempt`: (id, attempt, worker) is the
-- *fence* of that lease, and every statement about a leased unit compares it. So a worker that was thought
-- dead changes nothing once its unit was given to another.
--
-- A commit is one transaction: first the fence (`complete`), then the result of the unit. A plan and a
-- publish change their job too, so they lock it before the fence. The answer to a commit may be lost;
-- `completed_by` reads back whether it took effect.
--
-- An *epoch* is the time in which the finished units of a job count. Whatever returns finished units to
-- pending raises it under the job's lock, and every unit of the job moves along (`rebase`).
--
-- Locks are taken in one order: the job, its units, their partials. A claim waits for no lock: it passes over
-- rows that are locked, so two claims never meet in one unit. A condition that was true in a statement's
-- snapshot is compared again where the row is locked.

-- _tenants --
-- Every tenant that has an open job, which is one that does not wait for a place among the running jobs of its
-- tenant. One look into the index for each tenant, however many jobs it has.
tenants AS (
    (SELECT tenant FROM gristmill.jobs WHERE state IN ('queued', 'running') AND NOT waits ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT j.tenant FROM gristmill.jobs j
            WHERE j.state IN ('queued', 'running') AND NOT j.waits AND j.tenant > t.tenant ORDER BY j.tenant LIMIT 1)
    FROM tenants t WHERE t.tenant IS NOT NULL
)

-- _leased --
-- Every slot at work, by the first of its leases, with its tenant. A long unit is a merge or a publish that a
-- neighbour should not wait for.
leased AS MATERIALIZED (
    SELECT u.job_id, (SELECT j.tenant FROM gristmill.jobs j WHERE j.id = u.job_id) AS tenant,
           CASE WHEN u.kind IN ('merge', 'publish') THEN u.payload ->> 'long' IS NOT NULL
           ELSE false END AS long, u.kind = 'chunk' AS chunk
    FROM gristmill.units u WHERE u.state = 'leased' AND u.fold IS NULL
)

-- _next_unit --
-- The next unit of `job` (id, epoch, tenant, most, claims) that this worker may lease, locked.
-- `claim_next` repeats these conditions in its own words: change both.
-- A plan needs its job's lock too. Long units are never given back, so those of one tenant leave a slot to
-- the others, if there are two.
-- While a job is scanned, `most` is the number of its chunks that may be leased at once; null: any number.
-- Its chunks join no fold. Each claim of such a job locks it and raises `claims`. One that finds another number than in its snapshot
-- has counted leases too early, and takes nothing.
SELECT u.id, u.kind FROM gristmill.units u
WHERE u.job_id = job.id AND u.state = 'pending' AND u.not_before <= now() AND u.epoch = job.epoch
  AND u.state_version = @state_version::smallint
  AND CASE WHEN job.most IS NULL THEN true
      WHEN @fold::bigint IS NOT NULL THEN false
      WHEN (SELECT count(*) FROM leased WHERE job_id = job.id AND chunk) >= job.most THEN false
      ELSE (SELECT true FROM gristmill.jobs o
            WHERE o.id = job.id AND o.claims = job.claims AND o.state IN ('queued', 'running') AND NOT o.waits
            FOR NO KEY UPDATE SKIP LOCKED) END
  AND (u.kind <> 'plan'
       OR (SELECT true FROM gristmill.jobs WHERE id = job.id AND NOT waits FOR NO KEY UPDATE SKIP LOCKED))
  AND CASE WHEN u.kind IN ('merge', 'publish') AND u.payload ->> 'long' IS NOT NULL
      THEN (SELECT count(*) FROM leased WHERE long AND tenant = job.tenant)
           < (SELECT greatest(1, sum(coalesce(able, slots)) - 1)
              FROM gristmill.workers WHERE NOT draining AND seen_at > now() - @lease::interval)
      ELSE true END
ORDER BY u.id LIMIT 1
FOR UPDATE SKIP LOCKED

-- _lease_picked --
-- Lease the unit in `picked` to @worker, if that lives. With a plan, its job begins to run in the same step.
-- A claim of a job with `most` is counted in the job.
begun AS (
    SELECT id, state FROM gristmill.jobs WHERE id = (SELECT job_id FROM picked WHERE kind = 'plan')
    FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE gristmill.units u
    SET state = 'leased', attempt = u.attempt + 1, worker = @worker, leased_at = now(), rung_at = NULL,
        fold = @fold::bigint, deadline_at = now() + u.bytes * @byte_deadline::interval
                      + CASE u.kind WHEN 'plan' THEN @plan_deadline::interval
                        ELSE @unit_deadline::interval END
    WHERE u.id = (SELECT id FROM picked
                  WHERE kind <> 'plan' OR EXISTS (SELECT FROM begun WHERE state IN ('queued', 'running')))
      AND (SELECT w.seen_at > now() - @lease::interval FROM gristmill.workers w WHERE w.id = @worker)
    RETURNING u.*, u.deadline_at - now() AS allowed
), started AS (
    UPDATE gristmill.jobs
    SET state = 'running', started_at = coalesce(started_at, now()), claims = claims + 1,
        revision = revision + (state = 'queued')::integer
    WHERE id = coalesce((SELECT job_id FROM picked WHERE most IS NOT NULL),
                        (SELECT id FROM begun WHERE state = 'queued'))
      AND EXISTS (SELECT FROM claimed)
)
SELECT * FROM claimed

-- claim_fairest --
-- Lease the fairest unit of all: of the tenant with the fewest leases. Among equals it goes round and round
-- from the tenant of job @after, which this slot served last.
-- Of the tenant: the highest priority that has work; of that, the oldest job without any lease, but not
-- @after; then any job.
-- Subqueries with LIMIT or OFFSET 0 stand in place of joins and EXISTS. Each can only go through its index by
-- its key, whatever the statistics.
WITH RECURSIVE {_tenants}, {_leased}, last AS MATERIALIZED (
    SELECT tenant FROM gristmill.jobs WHERE id = @after
), turns AS MATERIALIZED (
    SELECT t.tenant
    FROM tenants t CROSS JOIN LATERAL (SELECT count(*) AS leases FROM leased l WHERE l.tenant = t.tenant) held
    WHERE t.tenant IS NOT NULL
    ORDER BY held.leases, t.tenant <= (SELECT tenant FROM last), t.tenant
), picked AS MATERIALIZED (
    SELECT unit.id, job.id AS job_id, unit.kind, job.most
    FROM (
        SELECT j.id, j.epoch, t.tenant, CASE j.phase WHEN 'scanning' THEN j.max_parallel END AS most, j.claims
        FROM turns t
        CROSS JOIN LATERAL (
            SELECT o.priority FROM gristmill.jobs o
            WHERE o.tenant = t.tenant AND o.state IN ('queued', 'running') AND NOT o.waits
              AND (SELECT true FROM gristmill.units u
                   WHERE u.job_id = o.id AND u.state = 'pending' AND u.not_before <= now() LIMIT 1)
            ORDER BY o.priority DESC, o.id LIMIT 1) top
        CROSS JOIN LATERAL (
            (SELECT o.id, o.epoch, o.phase, o.max_parallel, o.claims FROM gristmill.jobs o
             WHERE o.tenant = t.tenant AND o.state IN ('queued', 'running') AND NOT o.waits AND o.priority = top.priority
               AND o.id <> ALL (ARRAY(SELECT job_id FROM leased) || @after::text)
             ORDER BY o.id)
            UNION ALL
            (SELECT o.id, o.epoch, o.phase, o.max_parallel, o.claims FROM gristmill.jobs o
             WHERE o.tenant = t.tenant AND o.state IN ('queued', 'running') AND NOT o.waits
             ORDER BY o.priority DESC, o.id)) j
    ) job
    CROSS JOIN LATERAL ({_next_unit}) unit
    LIMIT 1
), {_lease_picked}

-- claim_of_job --
-- Lease the next unit of a job, while it is the job's turn.
-- A job of at most @small units goes on unless a tenant without any lease waits. A bigger one gives way to
-- any other job that has work.
WITH RECURSIVE {_tenants}, {_leased}, mine AS MATERIALIZED (
    SELECT id, epoch, tenant, CASE j.phase WHEN 'scanning' THEN j.max_parallel END AS most, j.claims
    FROM gristmill.jobs j WHERE id = @job_id AND state IN ('queued', 'running') AND NOT waits
), waiting AS (
    SELECT FROM tenants t
    WHERE (t.tenant <> (SELECT tenant FROM mine)
           AND 0 = (SELECT count(*) FROM leased l WHERE l.tenant = t.tenant)
           OR @small::integer < (SELECT count(*) FROM (SELECT FROM gristmill.units WHERE job_id = @job_id
                                              ORDER BY kind, no LIMIT @small::integer + 1) AS few))
      AND (SELECT true FROM gristmill.jobs j
           WHERE j.tenant = t.tenant AND j.state IN ('queued', 'running') AND NOT j.waits AND j.id <> @job_id
             AND (SELECT true FROM gristmill.units u
                  WHERE u.job_id = j.id AND u.state = 'pending' AND u.not_before <= now() LIMIT 1)
           ORDER BY j.priority DESC, j.id LIMIT 1)
), picked AS MATERIALIZED (
    SELECT unit.id, job.id AS job_id, unit.kind, job.most
    FROM (SELECT * FROM mine WHERE NOT EXISTS (SELECT FROM waiting)) job
    CROSS JOIN LATERAL ({_next_unit}) unit
    LIMIT 1
), {_lease_picked}

-- claim_next --
-- Lease as `claim_of_job` does in the commonest case, at a third of its price. In that case the job runs,
-- there is no other open job, its chunks are not limited, and its next unit is not long. In any other case,
-- lease nothing.
-- It is tried first. Its conditions are those of `_next_unit`: change both.
UPDATE gristmill.units u
SET state = 'leased', attempt = u.attempt + 1, worker = @worker, leased_at = now(), rung_at = NULL,
    fold = @fold::bigint, deadline_at = now() + @unit_deadline::interval + u.bytes * @byte_deadline::interval
WHERE u.id = (
    SELECT n.id FROM gristmill.jobs j CROSS JOIN LATERAL (
        SELECT c.id FROM gristmill.units c
        WHERE c.job_id = j.id AND c.state = 'pending' AND c.not_before <= now() AND c.epoch = j.epoch
          AND c.state_version = @state_version::smallint
          AND CASE c.kind WHEN 'plan' THEN false WHEN 'chunk' THEN true ELSE c.payload ->> 'long' IS NULL END
        ORDER BY c.id LIMIT 1
        FOR UPDATE SKIP LOCKED) n
    WHERE j.id = @job_id AND j.state = 'running' AND NOT j.waits AND j.max_parallel IS NULL
      AND (SELECT true FROM gristmill.jobs o
           WHERE o.state IN ('queued', 'running') AND NOT o.waits AND o.id <> @job_id LIMIT 1) IS NULL)
  AND (SELECT w.seen_at > now() - @lease::interval FROM gristmill.workers w WHERE w.id = @worker)
RETURNING u.*, u.deadline_at - now() AS allowed

-- rivals --
-- Every slot at work, by the first of its leases, of a live worker and of a state version. `free`: how many
-- slots are free. `waiting`: how many tenants have waited for a while without any lease.
WITH RECURSIVE {_tenants}, live AS MATERIALIZED (
    SELECT id, coalesce(able, slots) AS slots FROM gristmill.workers
    WHERE NOT draining AND seen_at > now() - @lease::interval
), leased AS MATERIALIZED (
    SELECT u.id, u.attempt, u.worker, u.kind, u.preemptions, u.state_version, now() - u.leased_at AS ran,
           (SELECT j.tenant FROM gristmill.jobs j WHERE j.id = u.job_id) AS tenant
    FROM gristmill.units u WHERE u.state = 'leased' AND u.fold IS NULL
)
SELECT l.id AS unit, l.attempt, l.worker, l.kind, l.preemptions, l.ran, l.tenant,
       (SELECT sum(slots) FROM live)
       - (SELECT count(*) FROM leased WHERE worker IN (SELECT id FROM live)) AS free,
       (SELECT count(*) FROM tenants t
        WHERE t.tenant IS NOT NULL AND t.tenant NOT IN (SELECT tenant FROM leased)
          AND (SELECT true FROM gristmill.jobs j
               WHERE j.tenant = t.tenant AND j.state IN ('queued', 'running') AND NOT j.waits
                 AND (SELECT true FROM gristmill.units u
                      WHERE u.job_id = j.id AND u.state = 'pending' AND u.state_version = @state_version
                        AND u.not_before <= now() - @waited::interval LIMIT 1)
               LIMIT 1)) AS waiting
FROM leased l
WHERE l.state_version = @state_version AND l.worker IN (SELECT id FROM live)

-- _complete --
UPDATE gristmill.units
SET state = 'done', finished_at = now(), deadline_at = NULL, error = NULL, rows_read = @rows_read,
    rows_aggregated = @rows_aggregated, rows_filtered = @rows_filtered, rows_dropped = @rows_dropped,
    rows_quarantined = @rows_quarantined, rows_skipped = @rows_skipped, rows_out = @rows_out, stats = @stats
WHERE id = @unit AND state = 'leased' AND attempt = @attempt AND worker = @worker
RETURNING job_id, no

-- complete --
-- The fence: a leased unit is done, if the lease is still good.
{_complete}

-- complete_with_partial --
-- The whole commit of a chunk that has one partial.
WITH fenced AS ({_complete})
INSERT INTO gristmill.partials (job_id, chunk, piece, first_bucket, last_bucket, groups, data, decoded)
SELECT job_id, no, 0, @first_bucket, @last_bucket, @groups, @data, @decoded FROM fenced
RETURNING chunk

-- held_by --
-- Whether a lease is still good.
SELECT EXISTS (SELECT FROM gristmill.units
               WHERE id = @unit AND state = 'leased' AND attempt = @attempt AND worker = @worker)

-- completed_by --
-- Whether a unit was done by this very lease.
SELECT EXISTS (SELECT FROM gristmill.units
               WHERE id = @unit AND state = 'done' AND attempt = @attempt AND worker = @worker)

-- give_back --
-- Return a leased unit to pending, charged to the cause that ended the lease; under the lock of its job.
-- The job's history tells of it, but not of an attempt that only ends because its job does.
-- A unit of a job that is ending is cancelled instead. A unit that is just being committed is left alone. A
-- worker that froze in the middle of its commit must not hold up a sweeper.
WITH given AS (
    UPDATE gristmill.units u
    SET state = CASE WHEN j.state IN ('queued', 'running', 'paused') THEN 'pending' ELSE 'cancelled' END,
        finished_at = CASE WHEN j.state IN ('queued', 'running', 'paused') THEN NULL ELSE now() END,
        deadline_at = NULL, rung_at = NULL, not_before = now() + @delay::interval, error = @error,
        deaths = deaths + (@charge = 'death')::int, crashes = crashes + (@charge = 'crash')::int,
        errors = errors + (@charge = 'error')::int, ooms = ooms + (@charge = 'memory')::int,
        preemptions = preemptions + (@charge = 'preemption')::int
    FROM gristmill.jobs j
    WHERE u.id = (SELECT id FROM gristmill.units
                  WHERE id = @unit AND state = 'leased' AND attempt = @attempt AND worker = @worker
                  FOR UPDATE SKIP LOCKED)
      AND j.id = u.job_id
    RETURNING u.*
), noted AS (
    SELECT job_id, 1 AS nth, 'attempt_failed' AS event,
           json_strip_nulls(json_build_object('kind', kind, 'no', no, 'attempt', attempt, 'worker', worker,
                                              'charge', @charge::text, 'error', error)) AS said
    FROM given WHERE state = 'pending' OR @charge <> 'nothing'
)
{_note}

-- fail --
-- A leased unit has failed, if the lease is still good; under the lock of its job.
WITH failed AS (
    UPDATE gristmill.units
    SET state = 'failed', finished_at = now(), deadline_at = NULL, error = @error
    WHERE id = (SELECT id FROM gristmill.units
                WHERE id = @unit AND state = 'leased' AND attempt = @attempt AND worker = @worker
                FOR UPDATE SKIP LOCKED)
    RETURNING *
), noted AS (
    SELECT job_id, 1 AS nth, 'attempt_failed' AS event,
           json_strip_nulls(json_build_object('kind', kind, 'no', no, 'attempt', attempt, 'worker', worker,
                                              'final', true, 'error', error)) AS said
    FROM failed
)
{_note}
RETURNING e.job_id

-- cancel_pending --
-- Cancel the pending units of a job that is ending.
UPDATE gristmill.units SET state = 'cancelled', finished_at = now(), rung_at = NULL
WHERE job_id = @job_id AND state = 'pending'

-- lock_chunks --
-- Lock the chunks of a job, by their ids: the commit of a fold has several of them locked, in this order.
SELECT count(*) FROM (SELECT FROM gristmill.units WHERE job_id = @job_id AND kind = 'chunk'
                      ORDER BY id FOR UPDATE) AS locked

-- reset_chunks --
-- Return every chunk of a job to pending, in a new epoch.
UPDATE gristmill.units
SET state = 'pending', epoch = @epoch, finished_at = NULL, deadline_at = NULL, rung_at = NULL,
    not_before = now(), error = NULL,
    rows_read = 0, rows_aggregated = 0, rows_filtered = 0, rows_dropped = 0, rows_quarantined = 0,
    rows_skipped = 0, rows_out = 0, stats = NULL
WHERE job_id = @job_id AND kind = 'chunk'

-- forget_chunks --
-- Delete the chunks of a job that is planned again.
DELETE FROM gristmill.units WHERE job_id = @job_id AND kind = 'chunk'

-- reset_plan --
-- Return a job's plan to pending, in a new epoch and with fresh counts.
UPDATE gristmill.units
SET state = 'pending', epoch = @epoch, payload = @payload, finished_at = NULL, rung_at = NULL,
    not_before = now(), deaths = 0, crashes = 0, errors = 0, ooms = 0, preemptions = 0
WHERE job_id = @job_id AND kind = 'plan'

-- rebase --
-- Move the units of a job to its new epoch.
UPDATE gristmill.units SET epoch = @epoch WHERE job_id = @job_id AND epoch <> @epoch

-- retry --
-- Return failed and cancelled units to pending, in a new epoch and with fresh counts.
UPDATE gristmill.units
SET state = 'pending', epoch = @epoch, finished_at = NULL, rung_at = NULL, not_before = now(), error = NULL,
    deaths = 0, crashes = 0, errors = 0, ooms = 0, preemptions = 0
WHERE job_id = @job_id AND state IN ('failed', 'cancelled')

-- forget_merging --
-- Delete the merges and the publish of a job that is tried again.
DELETE FROM gristmill.units WHERE job_id = @job_id AND kind IN ('merge', 'publish')

-- pruned --
-- Whether the partial of a finished chunk is gone.
SELECT EXISTS (
    SELECT FROM gristmill.units u
    WHERE job_id = @job_id AND kind = 'chunk' AND state = 'done' AND rows_out > 0
      AND NOT EXISTS (SELECT FROM gristmill.partials p WHERE p.job_id = u.job_id AND p.chunk = u.no))

-- insert --
-- Make units that continue a job's plan, of the version of states that the plan has, whichever worker plans.
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, payload, bytes)
SELECT @job_id, @kind, unit.no, @epoch,
       (SELECT p.state_version FROM gristmill.units p WHERE p.job_id = @job_id AND p.kind = 'plan'),
       unit.payload, unit.bytes
FROM unnest(@numbers::integer[], @payloads::json[], @bytes::bigint[]) AS unit (no, payload, bytes)

-- unfinished --
-- Whether a unit of a job is pending or leased; reads one row at most, however many units the job has.
SELECT EXISTS (SELECT FROM gristmill.units WHERE job_id = @job_id AND state = 'pending')
    OR EXISTS (SELECT FROM gristmill.units WHERE job_id = @job_id AND state = 'leased')

-- bad_rows --
-- How many bad rows the finished chunks of a job have. Provisional ones count if the job's types are @final.
SELECT coalesce(sum(rows_quarantined + rows_skipped
                    - CASE WHEN @final::boolean THEN 0
                      ELSE coalesce((stats ->> 'provisional')::bigint, 0) END), 0)::bigint
FROM gristmill.units
WHERE job_id = @job_id AND rows_quarantined + rows_skipped > 0

-- told --
-- The first bad rows of a job, in file order, that its chunks have told and not kept.
SELECT told.row
FROM gristmill.units u
CROSS JOIN LATERAL json_array_elements(u.stats -> 'told') WITH ORDINALITY AS told (row, no)
WHERE u.job_id = @job_id AND u.rows_quarantined + u.rows_skipped > 0
ORDER BY u.no, told.no LIMIT @most

-- told_before --
-- Whether the finished chunks before chunk @no have told @most bad rows, or one that fails the job.
SELECT coalesce(sum(CASE WHEN stats -> 'error' IS NULL THEN json_array_length(stats -> 'told')
                    ELSE @most END), 0) >= @most::bigint
FROM (SELECT stats FROM gristmill.units
      WHERE job_id = @job_id AND no < @no::integer AND rows_quarantined + rows_skipped > 0 AND stats IS NOT NULL
      LIMIT @most) AS before

-- provisional_error --
-- The error of a job that its chunks have kept until types are final: a bad row, else another; the first.
SELECT stats -> 'error' FROM gristmill.units
WHERE job_id = @job_id AND kind = 'chunk' AND stats -> 'error' IS NOT NULL
ORDER BY stats -> 'error' ->> 'code' <> @bad_row::text, no LIMIT 1

-- all_done --
-- Whether every unit of a job is done.
SELECT NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = @job_id AND state <> 'done')

-- to_publish --
-- The output of the merges of a job: rows, and bytes of its table.
SELECT coalesce(sum(rows_out), 0)::bigint AS rows,
       coalesce(pg_table_size(to_regclass('gristmill_results.' || quote_ident(@job_id))), 0)::bigint AS bytes
FROM gristmill.units WHERE job_id = @job_id AND kind = 'merge'

-- merged --
-- The rows and the report of each merge of a job, in their order.
SELECT rows_out, stats FROM gristmill.units
WHERE job_id = @job_id AND kind = 'merge' AND state = 'done' ORDER BY no

-- _counts --
-- Counts over the units of job `j`. They are added up by kind and state first: to test each unit for each
-- count takes thrice as long.
-- chunk_commits: only the first chunk of a fold, and one outside of folds, has no `fold`.
-- bytes_weighed: of the bytes that are done, the share that scanning has of the whole cost of a chunk. A
-- state costs as much as @scan_bytes while it is scanned, and as @merge_bytes more while it is merged,
-- written and indexed.
SELECT coalesce(sum(units) FILTER (WHERE kind = 'chunk'), 0)::bigint AS chunks_total,
       coalesce(sum(units) FILTER (WHERE kind = 'chunk' AND state = 'done'), 0)::bigint AS chunks_done,
       coalesce(sum(commits) FILTER (WHERE kind = 'chunk' AND state = 'done'), 0)::bigint AS chunk_commits,
       coalesce(sum(units) FILTER (WHERE kind = 'chunk' AND state = 'leased'), 0)::bigint AS chunks_leased,
       coalesce(sum(units) FILTER (WHERE kind = 'chunk' AND state = 'failed'), 0)::bigint AS chunks_failed,
       coalesce(sum(units) FILTER (WHERE kind = 'merge'), 0)::bigint AS merges_total,
       coalesce(sum(units) FILTER (WHERE kind = 'merge' AND state = 'done'), 0)::bigint AS merges_done,
       coalesce(sum(rows_read) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_read,
       coalesce(sum(rows_aggregated) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_aggregated,
       coalesce(sum(rows_filtered) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_filtered,
       coalesce(sum(rows_dropped) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_dropped,
       coalesce(sum(rows_quarantined) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_quarantined,
       coalesce(sum(rows_skipped) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_skipped,
       coalesce(sum(bytes) FILTER (WHERE kind = 'chunk'), 0)::bigint AS bytes_total,
       coalesce(sum(bytes) FILTER (WHERE kind = 'chunk' AND state = 'done'), 0)::bigint AS bytes_done,
       coalesce(sum(bytes_weighed) FILTER (WHERE kind = 'chunk' AND state = 'done'), 0)::bigint AS bytes_weighed,
       coalesce(min(bytes_least) FILTER (WHERE kind = 'chunk' AND state <> 'done'), 0)::bigint AS bytes_least_left,
       max(finished_at) FILTER (WHERE state = 'done') AS stepped_at
FROM (
    SELECT kind, state, count(*) AS units, count(*) FILTER (WHERE fold IS NULL) AS commits,
           sum(rows_read) AS rows_read, sum(rows_aggregated) AS rows_aggregated,
           sum(rows_filtered) AS rows_filtered, sum(rows_dropped) AS rows_dropped,
           sum(rows_quarantined) AS rows_quarantined, sum(rows_skipped) AS rows_skipped,
           sum(bytes) AS bytes, min(bytes) AS bytes_least, max(finished_at) AS finished_at,
           sum((bytes * (bytes + @scan_bytes::bigint * rows_out)::float8
                / nullif(bytes + (@scan_bytes + @merge_bytes::bigint) * rows_out, 0))::bigint) AS bytes_weighed
    FROM gristmill.units WHERE job_id = j.id
    GROUP BY kind, state) AS added

-- progress --
-- Counts over the units of some jobs.
SELECT j.id AS job_id, counted.*
FROM unnest(@job_ids::text[]) AS j (id) CROSS JOIN LATERAL ({_counts}) counted

-- _has_room --
-- Whether job `j` may have one more lease.
CASE WHEN j.max_parallel IS NULL OR j.phase <> 'scanning' THEN true
ELSE (SELECT count(*) FROM gristmill.units l WHERE l.job_id = j.id AND l.state = 'leased') < j.max_parallel END
-- look --
-- The revision of some jobs, and the counts over their units.
SELECT j.id AS job_id, j.revision, counted.*
FROM gristmill.jobs j CROSS JOIN LATERAL ({_counts}) counted
WHERE j.id = ANY (@job_ids::text[])

-- page --
-- Units of a job, by @kinds in their order, then by number: of the first kind those behind @after.
-- One range of an index for each kind. Each has its failed attempts, as far as the job's history has them; those
-- of the units of an earlier plan are no more.
-- The list ends early when errors and failures take more than @bytes octets; `further` says whether others follow.
WITH failed AS MATERIALIZED (
    SELECT said ->> 'kind' AS kind, (said ->> 'no')::integer AS no,
           json_agg(json_build_object(
               'attempt', said -> 'attempt', 'worker', said -> 'worker', 'at', at, 'charge', said -> 'charge',
               'final', coalesce((said ->> 'final')::boolean, false), 'error', said -> 'error') ORDER BY e.no) AS failures
    FROM gristmill.job_events e
    WHERE job_id = @job_id AND event = 'attempt_failed' AND e.no <= 1000
      AND (said ->> 'kind' = 'plan'
           OR e.no > (SELECT coalesce(max(no), 0) FROM gristmill.job_events
                      WHERE job_id = @job_id AND event = 'planned_again'))
    GROUP BY 1, 2
)
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(no) OVER sofar IS NOT NULL AS further FROM (
        SELECT k.rank, u.*, coalesce(f.failures, '[]') AS failures,
               octet_length(concat(u.error, f.failures)) AS size
        FROM unnest(@kinds::text[]) WITH ORDINALITY AS k (kind, rank)
        CROSS JOIN LATERAL (
            SELECT u.kind, u.no, u.state, u.attempt, u.deaths, u.crashes, u.errors, u.ooms, u.preemptions,
                   u.worker, u.leased_at, u.finished_at, u.bytes, u.rows_read, u.rows_aggregated,
                   u.rows_filtered, u.rows_dropped, u.rows_quarantined, u.rows_skipped, u.rows_out, u.error,
                   CASE WHEN u.state IN ('leased', 'done', 'failed')
                        THEN greatest(coalesce(u.finished_at, now()) - u.leased_at, '0') END AS ran
            FROM gristmill.units u
            WHERE u.job_id = @job_id AND u.kind = k.kind AND (@state::text IS NULL OR u.state = @state)
              AND u.no > CASE k.rank WHEN 1 THEN @after::integer ELSE -1 END
            ORDER BY u.no LIMIT @most::bigint + 1) u
        LEFT JOIN failed f ON f.kind = u.kind AND f.no = u.no
        ORDER BY k.rank, u.no LIMIT @most::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY rank, no ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY rank, no
LIMIT @most::bigint

-- extent --
-- The revision of a job of a tenant, and the number of its chunks, which are numbered from 0.
SELECT j.revision, (SELECT coalesce(max(no) + 1, 0) FROM gristmill.units
                    WHERE job_id = j.id AND kind = 'chunk') AS chunks
FROM gristmill.jobs j WHERE j.tenant = @tenant AND j.id = @job_id AND j.kind = 'job'

-- strip --
-- The chunks of a job from number @first on, in cells of @per neighbours each, at most @cells of them.
-- `attempt` is the highest of a cell, `ran` the longest time of a last lease, and `worker` that of one chunk.
-- Chunks are added up by their states first, as in `_counts`.
SELECT min(first) AS first, max(last) AS last,
       coalesce(sum(units) FILTER (WHERE state = 'done'), 0)::bigint AS done,
       coalesce(sum(units) FILTER (WHERE state = 'leased'), 0)::bigint AS leased,
       coalesce(sum(units) FILTER (WHERE state = 'failed'), 0)::bigint AS failed,
       coalesce(sum(units) FILTER (WHERE state = 'cancelled'), 0)::bigint AS cancelled,
       max(attempt) AS attempt, max(ran) AS ran, CASE sum(units) WHEN 1 THEN max(worker) END AS worker
FROM (
    SELECT no / @per::integer AS cell, state, min(no) AS first, max(no) AS last, count(*) AS units,
           max(attempt) AS attempt, CASE @per WHEN 1 THEN max(worker) END AS worker,
           CASE WHEN state IN ('leased', 'done', 'failed')
                THEN max(greatest(coalesce(finished_at, now()) - leased_at, '0')) END AS ran
    FROM gristmill.units
    WHERE job_id = @job_id AND kind = 'chunk' AND no >= @first::integer
      AND no < @first + @per * @cells::integer
    GROUP BY cell, state) AS added
GROUP BY cell
ORDER BY cell

-- due --
-- Mark the units to ring for, and number their rings.
-- Units rung for the first time and the @queued messages in Redis are together at most as many as live slots
-- without a lease. That is because a busy slot looks for more work by itself. Which units are rung for
-- matters little: a slot that takes a message claims the fairest unit. A message that no claim has answered
-- is sent again, under another number. No unit of a job with as many leases as it may have is rung for.
WITH rung AS MATERIALIZED (
    SELECT u.id FROM gristmill.units u
    WHERE u.state = 'pending' AND u.rung_at IS NOT NULL AND u.not_before <= now()
      AND u.state_version = @state_version::smallint
      AND (SELECT j.state IN ('queued', 'running') AND NOT j.waits AND {_has_room} FROM gristmill.jobs j WHERE j.id = u.job_id)
    ORDER BY u.rung_at
), room AS MATERIALIZED (
    SELECT greatest(0, coalesce(sum(greatest(0, w.slots - coalesce(busy, 0))), 0)
                       - greatest(@queued, (SELECT count(*) FROM rung))) AS free
    FROM gristmill.workers w
    LEFT JOIN (SELECT worker, count(*) AS busy FROM gristmill.units
               WHERE state = 'leased' AND fold IS NULL GROUP BY worker) l ON l.worker = w.id
    WHERE NOT w.draining AND w.seen_at > now() - @lease::interval
), fresh AS (
    SELECT u.id
    FROM gristmill.jobs j
    CROSS JOIN LATERAL (
        SELECT c.id FROM gristmill.units c
        WHERE c.job_id = j.id AND c.state = 'pending' AND c.rung_at IS NULL AND c.not_before <= now()
          AND c.state_version = @state_version::smallint AND {_has_room}
        ORDER BY c.id LIMIT (SELECT free FROM room)) u
    WHERE j.state IN ('queued', 'running') AND NOT j.waits
    LIMIT (SELECT free FROM room)
), chosen AS (
    -- Another pass may have rung since this statement's snapshot. The lock reads the row again, so the time
    -- of its ring is compared here. With none left in Redis the messages are lost: there is no need to wait.
    SELECT id FROM gristmill.units
    WHERE state = 'pending' AND id = ANY (ARRAY(SELECT id FROM fresh UNION ALL SELECT id FROM rung))
      AND (rung_at IS NULL
           OR rung_at <= now() - CASE @queued WHEN 0 THEN @dispatch::interval ELSE
               least(@ring_again::interval * power(2, least(rings - 1, 10)), @ring_limit::interval) END)
    FOR UPDATE SKIP LOCKED
)
UPDATE gristmill.units u SET rung_at = now(), rings = u.rings + 1
WHERE u.id = ANY (ARRAY(SELECT id FROM chosen))
RETURNING u.id, u.rings

-- expired --
-- Find leases that ended without their worker: it died, or the deadline of the unit passed.
-- Never soon after Postgres' own start: an outage charges no unit.
-- `held`: the slot has leased a later unit of the same fold. Such a lease comes before that of the later one.
-- So a sweeper that looks while another one takes them back finds the same.
SELECT u.id, u.job_id, u.kind, u.no, u.epoch, u.attempt, u.worker, u.deaths, u.crashes, u.errors, u.ooms,
       coalesce(w.seen_at <= now() - @lease::interval, true) AS worker_died,
       EXISTS (SELECT FROM gristmill.units o
               WHERE o.state = 'leased' AND o.job_id = u.job_id AND o.worker = u.worker
                 AND o.fold = coalesce(u.fold, u.id) AND o.leased_at > u.leased_at) AS held
FROM gristmill.units u LEFT JOIN gristmill.workers w ON w.id = u.worker
WHERE u.state = 'leased'
  AND (u.deadline_at <= now() OR coalesce(w.seen_at <= now() - @lease::interval, true))
  AND pg_postmaster_start_time() < now() - @grace::interval
ORDER BY held DESC, u.id LIMIT 100
