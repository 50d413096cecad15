-- _expires --
(SELECT v.published_at + j.expires FROM gristmill.jobs j WHERE j.id = v.job_id) AS expires_at

-- insert --
-- Make the table of a job a version.
INSERT INTO gristmill.versions (job_id, tenant, name, version, relation, rows, digest, columns, key_columns)
VALUES (@job_id, @tenant, @name, @version, @relation, @rows, @digest, @columns, @key_columns)

-- lock_result --
-- The version that a name shows, under a lock: publishers of one name take turns.
SELECT current FROM gristmill.results WHERE tenant = @tenant AND name = @name FOR UPDATE

-- set_current --
-- Show another version under a name.
UPDATE gristmill.results SET current = @version WHERE tenant = @tenant AND name = @name

-- get --
-- The version that a job has published.
SELECT v.*, r.current IS NOT DISTINCT FROM v.version AS current, {_expires}
FROM gristmill.versions v LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.tenant = @tenant AND v.job_id = @job_id

-- current --
-- The version that a name shows.
SELECT v.*, true AS current, {_expires}
FROM gristmill.results r
JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
WHERE r.tenant = @tenant AND r.name = @name

-- grants --
-- The statements that grant other roles their rights on a view.
SELECT format('GRANT %s ON %I.%I TO %s%s', a.privilege_type, n.nspname, c.relname,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
WHERE n.nspname = @schema AND c.relname = @name AND a.grantee <> c.relowner

-- by_number --
-- One version of a name.
SELECT v.*, r.current IS NOT DISTINCT FROM v.version AS current, {_expires}
FROM gristmill.versions v JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.tenant = @tenant AND v.name = @name AND v.version = @version

-- published --
-- The current versions of a tenant's names, in order, after one of them; only names with the part @part.
-- The list ends early when the columns take more than @bytes octets; `further` says whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(name) OVER sofar IS NOT NULL AS further FROM (
        SELECT v.*, true AS current, {_expires}, octet_length(v.columns::text) AS size
        FROM gristmill.results r
        JOIN gristmill.versions v ON v.tenant = r.tenant AND v.name = r.name AND v.version = r.current
        WHERE r.tenant = @tenant AND (@after::text IS NULL OR r.name > @after)
          AND (@part::text IS NULL OR strpos(r.name, @part) > 0)
        ORDER BY r.name
        LIMIT @most::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY name ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY name
LIMIT @most::bigint

-- of_name --
-- The versions of a name, newest first, with lower numbers than @after.
-- The list ends early when the columns take more than @bytes octets; `further` says whether others follow.
SELECT * FROM (
    SELECT *, sum(size) OVER sofar AS total, lead(version) OVER sofar IS NOT NULL AS further FROM (
        SELECT v.*, r.current IS NOT DISTINCT FROM v.version AS current, {_expires},
               octet_length(v.columns::text) AS size
        FROM gristmill.versions v JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
        WHERE v.tenant = @tenant AND v.name = @name AND (@after::integer IS NULL OR v.version < @after)
        ORDER BY v.version DESC
        LIMIT @most::bigint + 1) AS page
    WINDOW sofar AS (ORDER BY version DESC ROWS UNBOUNDED PRECEDING)) AS measured
WHERE total - size < @bytes::bigint
ORDER BY version DESC
LIMIT @most::bigint

-- kept --
-- Of some jobs, those whose version is there, and whether it is the one that its name shows.
SELECT v.job_id, r.current IS NOT DISTINCT FROM v.version AS current
FROM gristmill.versions v LEFT JOIN gristmill.results r ON r.tenant = v.tenant AND r.name = v.name
WHERE v.job_id = ANY (@job_ids::text[])

-- shape --
-- Whether a job has a version, and the columns of the table that is named after it; null if there is none.
-- They are as they are now, dropped ones included.
SELECT EXISTS (SELECT FROM gristmill.versions WHERE job_id = @job_id::text) AS published,
       (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod),
                                          'dropped', attisdropped) ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass(format('gristmill_results.%I', @job_id::text)) AND attnum > 0) AS columns

-- has_large_values --
-- Whether a table has values that are too large to be stored in its rows.
SELECT pg_relation_size(reltoastrelid) > 0
FROM pg_class
WHERE oid = to_regclass(format('gristmill_results.%I', @relation::text)) AND reltoastrelid <> 0
