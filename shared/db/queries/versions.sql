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
WHERE v.job_id = $1

-- current --
SELECT v.*, true AS current
FROM gristmill.results r JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
WHERE r.tenant = $1 AND r.name = $2

-- by_number --
SELECT v.*, r.current IS NOT DISTINCT FROM v.version AS current
FROM gristmill.versions v JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.tenant = $1 AND v.name = $2 AND v.version = $3

-- published --
SELECT v.*, true AS current
FROM gristmill.results r JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
WHERE r.tenant = $1
ORDER BY r.name

-- shape --
-- The columns of a version's table as they are now, dropped ones included; null when there is no such table.
SELECT (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'dropped', attisdropped)
                        ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(format('gristmill_results.%I', relation)) AND attnum > 0) AS columns
FROM gristmill.versions
WHERE job_id = $1
