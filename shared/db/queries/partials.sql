-- insert --
INSERT INTO gristmill.partials (job_id, chunk, piece, first_bucket, last_bucket, groups, data) VALUES ($1, $2, $3, $4, $5, $6, $7)

-- size --
SELECT coalesce(sum(length(data)), 0)::bigint
FROM gristmill.partials WHERE job_id = $1

-- of_buckets --
SELECT data, first_bucket >= $2 AND last_bucket < $3 AS inside FROM gristmill.partials
WHERE job_id = $1 AND last_bucket >= $2 AND first_bucket < $3
ORDER BY chunk, piece

-- delete --
DELETE FROM gristmill.partials WHERE job_id = $1

-- orphaned --
SELECT DISTINCT p.job_id FROM gristmill.partials p JOIN gristmill.jobs j ON j.id = p.job_id WHERE j.finished_at IS NOT NULL LIMIT 100
