-- size --
SELECT coalesce(sum(length(data)), 0)::bigint
FROM gristmill.partials WHERE job_id = $1

-- of_buckets --
SELECT data, first_bucket >= $2 AND last_bucket < $3 AS inside FROM gristmill.partials
WHERE job_id = $1 AND last_bucket >= $2 AND first_bucket < $3
ORDER BY chunk, piece

-- delete --
DELETE FROM gristmill.partials WHERE job_id = $1
