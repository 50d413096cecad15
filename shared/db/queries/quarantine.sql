-- delete --
-- Delete the bad rows of a job, all of whose chunks are to be read again.
DELETE FROM gristmill.quarantine WHERE job_id = @job_id

-- rebase --
-- Move the bad rows of a job's finished chunks to its new epoch.
UPDATE gristmill.quarantine SET epoch = @epoch WHERE job_id = @job_id AND epoch <> @epoch

-- set_lines --
-- Set the line of each bad row in its file: its line in its extent, and the lines of the extents before.
-- Every chunk is done, and has reported the lines of its extents.
WITH extents AS (
    SELECT u.no AS chunk, e.no - 1 AS extent, u.rows_quarantined > 0 AS needed,
           (e.extent ->> 0)::integer AS file, (u.stats -> 'lines' ->> (e.no - 1)::integer)::bigint AS lines
    FROM gristmill.units u
    CROSS JOIN LATERAL json_array_elements(u.payload -> 'extents') WITH ORDINALITY AS e (extent, no)
    WHERE u.job_id = @job_id AND u.kind = 'chunk'
), begun AS MATERIALIZED (
    SELECT chunk, extent, needed,
           (sum(lines) OVER (PARTITION BY file ORDER BY chunk, extent) - lines)::bigint AS lines
    FROM extents
)
UPDATE gristmill.quarantine q SET line = q.line_of_extent + begun.lines
FROM begun
WHERE begun.needed AND q.job_id = @job_id AND q.chunk = begun.chunk AND q.extent = begun.extent

-- first --
-- The first bad rows of a job in file order.
SELECT uri, byte, line, row, name AS column, value, reason AS detail FROM gristmill.quarantine
WHERE job_id = @job_id ORDER BY chunk, no LIMIT @most

-- _rows --
-- The bad rows of a job in its present epoch, behind row @no of chunk @chunk.
SELECT chunk, no, uri, byte, line, row, name, reason, value, record, truncated
FROM gristmill.quarantine
WHERE job_id = @job_id AND epoch = @epoch AND (chunk, no) > (@chunk::integer, @no::integer)
ORDER BY chunk, no

-- rows --
-- All bad rows of a job in its present epoch, in file order, behind row @no of chunk @chunk.
{_rows}

-- page --
-- The first of these rows.
-- The list ends early when the texts take more than @bytes octets; `further` says whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(no) OVER sofar IS NOT NULL AS further FROM (
        SELECT *, octet_length(concat(uri, name, reason, value, record)) AS size
        FROM ({_rows} LIMIT @most::bigint + 1) AS found) AS page
    WINDOW sofar AS (ORDER BY chunk, no ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY chunk, no
LIMIT @most::bigint

-- job --
-- The epoch of a job, and whether its bad rows are final.
SELECT epoch, finished_at IS NOT NULL AS final FROM gristmill.jobs
WHERE tenant = @tenant AND id = @job_id AND kind = 'job'
