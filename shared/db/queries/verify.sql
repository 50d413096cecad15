-- Each statement but `counts` and `tables` is an invariant: it finds the violations, one text a row.

-- counts --
-- How much there is to check.
SELECT (SELECT count(*) FROM gristmill.jobs) AS jobs, (SELECT count(*) FROM gristmill.units) AS units,
       (SELECT count(*) FROM gristmill.partials) AS partials,
       (SELECT count(*) FROM gristmill.versions) AS versions

-- tables --
-- Every table of a version, and the number of its rows.
SELECT job_id, relation, rows FROM gristmill.versions ORDER BY job_id

-- end_without_time --
-- A job that has ended has a time of its end, and no other has.
SELECT format('%s is %s and finished_at is %s', id, state, coalesce(finished_at::text, 'null'))
FROM gristmill.jobs WHERE (finished_at IS NOT NULL) <> (state IN ('succeeded', 'failed', 'cancelled'))

-- work_after_the_end --
-- A job that has ended has no unit that is pending or leased.
SELECT format('%s is %s, but its %s %s is %s', j.id, j.state, u.kind, u.no, u.state)
FROM gristmill.jobs j JOIN gristmill.units u ON u.job_id = j.id
WHERE j.finished_at IS NOT NULL AND u.state IN ('pending', 'leased')

-- job_without_end --
-- A job without a pending or leased unit goes on or ends soon, if a worker has lived for longer than that.
SELECT format('%s is %s in phase %s, has nothing left to do since %s, and does not end',
              j.id, j.state, j.phase, last.at)
FROM gristmill.jobs j
CROSS JOIN LATERAL (SELECT coalesce(max(finished_at), j.created_at) AS at
                    FROM gristmill.units WHERE job_id = j.id) AS last
WHERE j.state IN ('queued', 'running', 'cancelling') AND last.at < now() - interval '5 minutes'
  AND NOT EXISTS (SELECT FROM gristmill.units WHERE job_id = j.id AND state IN ('pending', 'leased'))
  AND EXISTS (SELECT FROM gristmill.workers
              WHERE started_at < now() - interval '5 minutes' AND seen_at > now() - interval '10 seconds')

-- success_without_all_units --
-- Every unit of a job that has succeeded is done.
SELECT format('%s has succeeded, but its %s %s is %s', j.id, u.kind, u.no, u.state)
FROM gristmill.jobs j JOIN gristmill.units u ON u.job_id = j.id
WHERE j.state = 'succeeded' AND u.state <> 'done'

-- chunk_not_covered --
-- A finished chunk of a live job has partials 0 to n-1, with as many groups as the ledger says.
SELECT format('%s: chunk %s is done with %s groups, but %s partials numbered up to %s hold %s',
              u.job_id, u.no, u.rows_out, p.partials, p.last, p.groups)
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id CROSS JOIN LATERAL (
    SELECT count(*) AS partials, coalesce(max(piece), -1) AS last, coalesce(sum(groups), 0) AS groups
    FROM gristmill.partials WHERE job_id = u.job_id AND chunk = u.no
) AS p
WHERE u.kind = 'chunk' AND u.state = 'done' AND j.finished_at IS NULL
  AND (p.partials <> p.last + 1 OR p.groups <> u.rows_out)

-- partial_without_chunk --
-- A partial belongs to a finished chunk.
SELECT DISTINCT format('%s: there is a partial of chunk %s, which is %s',
                       p.job_id, p.chunk, coalesce(u.state, 'no unit'))
FROM gristmill.partials p
LEFT JOIN gristmill.units u ON u.job_id = p.job_id AND u.kind = 'chunk' AND u.no = p.chunk
WHERE u.state IS DISTINCT FROM 'done'

-- chunk_rows_lost --
-- Every row that a finished chunk read is aggregated, filtered, dropped for a null key, or counted as bad.
-- A chunk with a provisional error has only read its rows, and no job with such a chunk succeeds.
SELECT format('%s: chunk %s read %s rows, aggregated %s, filtered %s, dropped %s, quarantined %s, skipped %s',
              u.job_id, u.no, u.rows_read, u.rows_aggregated, u.rows_filtered, u.rows_dropped,
              u.rows_quarantined, u.rows_skipped)
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id
WHERE u.kind = 'chunk' AND u.state = 'done'
  AND u.rows_read <> u.rows_aggregated + u.rows_filtered + u.rows_dropped
                     + u.rows_quarantined + u.rows_skipped
  AND u.stats -> 'error' IS NULL
  AND (j.finished_at IS NULL OR j.receipt IS NOT NULL)

-- quarantine_incomplete --
-- A finished chunk has all rows of its quarantine, numbered without a gap and of its job's epoch.
SELECT format('%s: chunk %s quarantined %s rows; %s rows numbered up to %s are there, of epochs %s',
              u.job_id, u.no, u.rows_quarantined, q.rows, q.last, q.epochs)
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id CROSS JOIN LATERAL (
    SELECT count(*) AS rows, coalesce(max(no), -1) AS last, array_agg(DISTINCT epoch) AS epochs
    FROM gristmill.quarantine WHERE job_id = u.job_id AND chunk = u.no
) AS q
WHERE u.kind = 'chunk' AND u.state = 'done'
  AND (q.rows <> u.rows_quarantined OR q.rows <> q.last + 1 OR q.epochs <> ARRAY[j.epoch])

-- quarantine_without_chunk --
-- A row in quarantine belongs to a finished chunk.
SELECT DISTINCT format('%s: a row of chunk %s is in quarantine; the chunk is %s',
                       q.job_id, q.chunk, coalesce(u.state, 'no unit'))
FROM gristmill.quarantine q
LEFT JOIN gristmill.units u ON u.job_id = q.job_id AND u.kind = 'chunk' AND u.no = q.chunk
WHERE u.state IS DISTINCT FROM 'done'

-- quarantine_without_line --
-- A job that has succeeded knows the line of each row in quarantine that has one.
SELECT format('%s: row %s of chunk %s has no line', q.job_id, q.no, q.chunk)
FROM gristmill.quarantine q JOIN gristmill.jobs j ON j.id = q.job_id
WHERE j.state = 'succeeded' AND q.line IS NULL AND q.line_of_extent IS NOT NULL

-- receipt_unbalanced --
-- A receipt accounts for every row, and agrees with the units.
SELECT format('%s: the receipt says %s; the units read %s rows, aggregated %s, merged %s, filtered %s, '
              'quarantined %s, skipped %s',
              j.id, j.receipt -> 'rows', u.read, u.aggregated, u.merged, u.filtered, u.quarantined, u.skipped)
FROM gristmill.jobs j
CROSS JOIN LATERAL json_to_record(j.receipt -> 'rows')
    AS r (read bigint, aggregated bigint, filtered bigint, dropped_null_key bigint, quarantined bigint,
          skipped bigint)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(rows_read) FILTER (WHERE kind = 'chunk'), 0) AS read,
           coalesce(sum(rows_aggregated) FILTER (WHERE kind = 'chunk'), 0) AS aggregated,
           coalesce(sum(rows_aggregated) FILTER (WHERE kind = 'merge'), 0) AS merged,
           coalesce(sum(rows_filtered) FILTER (WHERE kind = 'chunk'), 0) AS filtered,
           coalesce(sum(rows_quarantined) FILTER (WHERE kind = 'chunk'), 0) AS quarantined,
           coalesce(sum(rows_skipped) FILTER (WHERE kind = 'chunk'), 0) AS skipped
    FROM gristmill.units WHERE job_id = j.id
) AS u
WHERE j.state = 'succeeded' AND j.receipt IS NOT NULL
  AND (r.read <> r.aggregated + r.filtered + r.dropped_null_key + r.quarantined + r.skipped
       OR r.read <> u.read OR r.aggregated <> u.aggregated OR r.aggregated <> u.merged
       OR r.filtered <> u.filtered OR r.quarantined <> u.quarantined OR r.skipped <> u.skipped)

-- version_rows_differ --
-- A version has as many rows as its merges wrote.
SELECT format('%s: its version has %s rows, its merges wrote %s', v.job_id, v.rows, sum(u.rows_out))
FROM gristmill.versions v JOIN gristmill.units u ON u.job_id = v.job_id AND u.kind = 'merge'
GROUP BY v.job_id, v.rows HAVING v.rows <> sum(u.rows_out)

-- version_without_table --
-- A version has its table.
SELECT format('%s: there is no table gristmill_results.%s', v.job_id, v.relation)
FROM gristmill.versions v
WHERE NOT EXISTS (SELECT FROM pg_class c
                  WHERE c.relnamespace = 'gristmill_results'::regnamespace AND c.relkind = 'r'
                    AND c.relname = v.relation)

-- table_without_owner --
-- A table of rows belongs to a version, or to a live job.
SELECT format('gristmill_results.%s belongs to no version and no live job', c.relname)
FROM pg_class c
WHERE c.relnamespace = 'gristmill_results'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM gristmill.versions v WHERE v.relation = c.relname)
  AND NOT EXISTS (SELECT FROM gristmill.jobs j WHERE j.id = c.relname AND j.finished_at IS NULL)

-- version_of_no_success --
-- Only a job that has succeeded has a version.
SELECT format('%s is %s, but has a version', j.id, j.state)
FROM gristmill.versions v JOIN gristmill.jobs j ON j.id = v.job_id WHERE j.state <> 'succeeded'

-- current_not_newest --
-- A view shows the newest version that was published; an earlier job never replaces a later one's.
SELECT format('%s/%s shows version %s; the newest published is %s',
              v.tenant, v.name, coalesce(r.current::text, 'none'), max(v.version))
FROM gristmill.versions v LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.name IS NOT NULL
GROUP BY v.tenant, v.name, r.current HAVING r.current IS DISTINCT FROM max(v.version)

-- current_without_version --
-- The version that a name shows exists.
SELECT format('%s/%s shows version %s, which does not exist', r.tenant, r.name, r.current)
FROM gristmill.results r
WHERE r.current IS NOT NULL
  AND NOT EXISTS (SELECT FROM gristmill.versions v
                  WHERE v.tenant = r.tenant AND v.name = r.name AND v.version = r.current)

-- view_shows_another_table --
-- The view of a name shows the table of its current version.
SELECT format('%s/%s: no view of that name shows gristmill_results.%s', r.tenant, r.name, v.relation)
FROM gristmill.results r
JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
WHERE NOT EXISTS (
    SELECT FROM pg_class shown
    JOIN pg_namespace n ON n.oid = shown.relnamespace
         AND n.nspname = CASE r.tenant WHEN 'default' THEN 'results' ELSE 'results_' || r.tenant END
    JOIN pg_rewrite rule ON rule.ev_class = shown.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
         AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class t ON t.oid = d.refobjid AND t.relnamespace = 'gristmill_results'::regnamespace
         AND t.relname = v.relation
    WHERE shown.relname = r.name AND shown.relkind = 'v')

-- charged_more_than_tried --
-- Each lease is an attempt and ends once: it is charged or preempted. The one that is under way, or that
-- ended the unit, is neither.
SELECT format('%s: %s %s had %s attempts, and was charged %s deaths, %s crashes, %s errors, '
              '%s times out of memory, and preempted %s times',
              job_id, kind, no, attempt, deaths, crashes, errors, ooms, preemptions)
FROM gristmill.units
WHERE attempt < deaths + crashes + errors + ooms + preemptions
                + (state IN ('leased', 'done', 'failed'))::integer

-- history_misses_attempts --
-- Each charge of a unit is an entry in its job's history, if that began with the submit and has room.
-- A retry, and a new plan, forget charges; the history does not.
SELECT format('%s: %s %s was charged or preempted %s times, and the history has %s failed attempts of it',
              u.job_id, u.kind, u.no, charged.times, told.times)
FROM gristmill.units u
CROSS JOIN LATERAL (SELECT u.deaths + u.crashes + u.errors + u.ooms + u.preemptions
                           + (u.state = 'failed')::integer AS times) AS charged
CROSS JOIN LATERAL (
    SELECT count(*) AS times FROM gristmill.job_events e
    WHERE e.job_id = u.job_id AND e.event = 'attempt_failed'
      AND e.said ->> 'kind' = u.kind AND (e.said ->> 'no')::integer = u.no) AS told
WHERE charged.times > told.times
  AND EXISTS (SELECT FROM gristmill.job_events e WHERE e.job_id = u.job_id AND e.no = 1 AND e.event = 'submitted')
  AND NOT EXISTS (SELECT FROM gristmill.job_events e WHERE e.job_id = u.job_id AND e.no > 1000)

-- history_without_end --
-- A history tells each end of its job or dry run, the last one last. It must begin with the submit and have room.
SELECT format('%s is %s, and its history tells: %s', j.id, j.state, told.events)
FROM gristmill.jobs j
CROSS JOIN LATERAL (
    SELECT array_agg(event ORDER BY no) AS events,
           array_agg(event ORDER BY no DESC) FILTER (WHERE event <> 'changed') AS backwards,
           count(*) FILTER (WHERE event IN ('succeeded', 'failed', 'cancelled')) AS ends,
           count(*) FILTER (WHERE event = 'retried') AS retries,
           count(*) FILTER (WHERE event = 'published') AS published
    FROM gristmill.job_events WHERE job_id = j.id) AS told
WHERE told.events[1] = 'submitted'
  AND NOT EXISTS (SELECT FROM gristmill.job_events e WHERE e.job_id = j.id AND e.no > 1000)
  AND (told.ends <> told.retries + (j.finished_at IS NOT NULL)::integer
       OR (j.finished_at IS NOT NULL AND told.backwards[1] <> j.state)
       OR told.published <> (j.state = 'succeeded' AND j.kind = 'job')::integer)

-- preempted_merge_or_publish --
-- Only plans and chunks are preempted.
SELECT format('%s: its %s %s was preempted %s times; only plans and chunks are',
              job_id, kind, no, preemptions)
FROM gristmill.units WHERE preemptions > 0 AND kind NOT IN ('plan', 'chunk')

-- epochs_differ --
-- The units of a live job are in its epoch.
SELECT format('%s is in epoch %s, its %s %s in %s', j.id, j.epoch, u.kind, u.no, u.epoch)
FROM gristmill.jobs j JOIN gristmill.units u ON u.job_id = j.id
WHERE j.finished_at IS NULL AND u.epoch <> j.epoch

-- chunks_not_numbered --
-- The chunks of a job are numbered without a gap.
SELECT format('%s has %s chunks, the last one is number %s', job_id, count(*), max(no))
FROM gristmill.units WHERE kind = 'chunk' GROUP BY job_id HAVING count(*) <> max(no) + 1

-- plan_missing --
-- A job beyond planning has a plan.
SELECT format('%s is %s without a plan', id, phase) FROM gristmill.jobs
WHERE phase <> 'planning' AND plan IS NULL

-- dry_run_without_findings --
-- A dry run that has succeeded has findings, and no unit but its plan.
SELECT format('%s has succeeded with %s units, and %s', j.id, u.units,
              CASE WHEN p.look IS NULL THEN 'has no findings' ELSE 'has findings' END)
FROM gristmill.jobs j LEFT JOIN gristmill.plans p ON p.job_id = j.id
CROSS JOIN LATERAL (SELECT count(*) AS units FROM gristmill.units WHERE job_id = j.id) AS u
WHERE j.kind <> 'job' AND j.state = 'succeeded' AND (p.look IS NULL OR u.units <> 1)

-- stored_plan_left --
-- A job that has begun with a stored plan has it no more.
SELECT format('%s is %s, and its stored plan is still there', j.id, j.phase)
FROM gristmill.jobs j JOIN gristmill.plans p ON p.job_id = j.id
WHERE j.kind = 'job' AND j.phase <> 'planning'

-- phase_ahead --
-- A phase begins when every unit of the one before it is done.
SELECT format('%s is %s, but its %s %s is %s', j.id, j.phase, u.kind, u.no, u.state)
FROM gristmill.jobs j JOIN gristmill.units u ON u.job_id = j.id
CROSS JOIN LATERAL (
    SELECT array_position(ARRAY['plan', 'chunk', 'merge', 'publish'], u.kind) AS step,
           array_position(ARRAY['planning', 'scanning', 'merging', 'publishing'], j.phase) AS now) AS at
WHERE j.state IN ('queued', 'running', 'paused')
  AND (at.step > at.now OR (at.step < at.now AND u.state <> 'done'))

-- merges_overlap_or_gap --
-- The merges of a job cover the 1,024 buckets, each once.
SELECT format('%s: merge %s begins at bucket %s, the one before it ends at %s', job_id, no, first, before)
FROM (
    SELECT job_id, no, (payload ->> 'first')::integer AS first,
           coalesce(lag((payload ->> 'end')::integer) OVER ranges, 0) AS before
    FROM gristmill.units WHERE kind = 'merge' WINDOW ranges AS (PARTITION BY job_id ORDER BY no)
    UNION ALL
    SELECT job_id, count(*), 1024, max((payload ->> 'end')::integer)
    FROM gristmill.units WHERE kind = 'merge' GROUP BY job_id
) AS covered
WHERE first <> before
