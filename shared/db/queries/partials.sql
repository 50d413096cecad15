-- sizes --
-- By bucket: bytes of the states whose pieces begin there; and what these and those that end there take to be read, with $2 more for each.
SELECT bucket, coalesce(sum(size) FILTER (WHERE begins), 0)::bigint AS size,
       coalesce(sum(size + $2::bigint) FILTER (WHERE begins), 0)::bigint AS begun,
       coalesce(sum(size + $2::bigint) FILTER (WHERE NOT begins), 0)::bigint AS ended
FROM (SELECT first_bucket, last_bucket, length(data) AS size FROM gristmill.partials WHERE job_id = $1 OFFSET 0) AS piece
CROSS JOIN LATERAL (VALUES (first_bucket, true), (last_bucket, false)) AS at (bucket, begins)
GROUP BY bucket

-- of_buckets --
SELECT data, first_bucket >= $2 AND last_bucket < $3 AS inside FROM gristmill.partials
WHERE job_id = $1 AND last_bucket >= $2 AND first_bucket < $3
ORDER BY chunk, piece

-- delete --
DELETE FROM gristmill.partials WHERE job_id = $1
