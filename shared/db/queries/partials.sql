-- sizes --
-- `size`: the bytes of the partials that begin at a bucket. `decoded`: about those of their states in memory;
-- of a partial of a worker of an earlier version, its own bytes ten times.
-- `begun` and `ended`: how much there is to read of those that begin there, and of those that end there. In
-- these, each partial counts @cost bytes more.
SELECT bucket, coalesce(sum(size) FILTER (WHERE begins), 0)::bigint AS size,
       coalesce(sum(decoded) FILTER (WHERE begins), 0)::bigint AS decoded,
       coalesce(sum(size + @cost::bigint) FILTER (WHERE begins), 0)::bigint AS begun,
       coalesce(sum(size + @cost::bigint) FILTER (WHERE NOT begins), 0)::bigint AS ended
FROM (SELECT first_bucket, last_bucket, length(data) AS size, coalesce(decoded, 10 * length(data)) AS decoded
      FROM gristmill.partials WHERE job_id = @job_id OFFSET 0) AS partial
CROSS JOIN LATERAL (VALUES (first_bucket, true), (last_bucket, false)) AS at (bucket, begins)
GROUP BY bucket

-- of_buckets --
-- The partials that touch buckets [@first, @end), in chunk order, and whether all of their buckets are in
-- there.
SELECT data, first_bucket >= @first AND last_bucket < @end AS inside FROM gristmill.partials
WHERE job_id = @job_id AND last_bucket >= @first AND first_bucket < @end
ORDER BY chunk, piece

-- delete --
-- Delete the partials of a job.
DELETE FROM gristmill.partials WHERE job_id = @job_id
