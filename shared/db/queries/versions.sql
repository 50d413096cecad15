-- lock_result --
SELECT current FROM gristmill.results WHERE tenant = $1 AND name = $2 FOR UPDATE

-- set_current --
UPDATE gristmill.results SET current = $3 WHERE tenant = $1 AND name = $2

-- insert --
INSERT INTO gristmill.versions (job_id, tenant, name, version, relation, rows, digest, columns, key_columns)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- get --
SELECT v.*, r.current IS NOT DISTINCT FROM v.version AS current
FROM gristmill.versions v LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.tenant = $1 AND v.job_id = $2

-- current --
SELECT v.*, true AS current
FROM gristmill.results r JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
WHERE r.tenant = $1 AND r.name = $2

-- by_number --
SELECT v.*, r.current IS NOT DISTINCT FROM v.version AS current
FROM gristmill.versions v JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.tenant = $1 AND v.name = $2 AND v.version = $3

-- published --
-- Ends early when the columns take more than $4 octets together; `further` says whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(name) OVER sofar IS NOT NULL AS further FROM (
        SELECT v.*, true AS current, octet_length(v.columns::text) AS size
        FROM gristmill.results r JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
        WHERE r.tenant = $1 AND ($2::text IS NULL OR r.name > $2)
        ORDER BY r.name
        LIMIT $3::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY name ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < $4::bigint
ORDER BY name
LIMIT $3::bigint

-- shown --
-- Of some jobs, those whose version is the one that its name shows.
SELECT v.job_id
FROM gristmill.versions v JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name AND r.current = v.version
WHERE v.job_id = ANY ($1::text[])

-- shape --
-- The columns of a version's table as they are now, dropped ones included; null when there is no such table.
SELECT (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'dropped', attisdropped)
                        ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(format('gristmill_results.%I', relation)) AND attnum > 0) AS columns
FROM gristmill.versions
WHERE job_id = $1
