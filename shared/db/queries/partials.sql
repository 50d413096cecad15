-- sizes --
-- Bytes of states by the bucket at which their piece begins.
SELECT first_bucket, sum(length(data))::bigint AS size FROM gristmill.partials WHERE job_id = $1 GROUP BY first_bucket

-- of_buckets --
SELECT data, first_bucket >= $2 AND last_bucket < $3 AS inside FROM gristmill.partials
WHERE job_id = $1 AND last_bucket >= $2 AND first_bucket < $3
ORDER BY chunk, piece

-- delete --
DELETE FROM gristmill.partials WHERE job_id = $1
