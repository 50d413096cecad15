-- ledger --
-- The sums over a job's units, and the times of a job that is published now.
SELECT j.id, j.spec_digest, j.epoch,
       j.created_at, j.started_at, j.planned_at, j.scanned_at, j.merged_at, now() AS finished_at, sums.*
FROM gristmill.jobs j CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE kind = 'chunk') AS chunks,
           coalesce(sum(rows_read) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_read,
           coalesce(sum(rows_aggregated) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_aggregated,
           coalesce(sum(rows_filtered) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_filtered,
       coalesce(sum(rows_dropped) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_dropped,
       coalesce(sum(rows_quarantined) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_quarantined,
       coalesce(sum(rows_skipped) FILTER (WHERE kind = 'chunk'), 0)::bigint AS rows_skipped,
           coalesce(sum(rows_aggregated) FILTER (WHERE kind = 'merge'), 0)::bigint AS merged,
           coalesce(sum(rows_out) FILTER (WHERE kind = 'merge'), 0)::bigint AS groups,
           sum(attempt) AS attempts, sum(deaths) AS deaths, sum(crashes) AS crashes, sum(errors) AS errors,
           sum(ooms) AS ooms
    FROM gristmill.units WHERE job_id = j.id
) AS sums
WHERE j.id = @job_id

-- get --
-- The receipt of a job, and the job's state.
SELECT state, receipt FROM gristmill.jobs WHERE tenant = @tenant AND id = @job_id AND kind = 'job'
