-- insert --
-- Note a file that was uploaded whole.
INSERT INTO gristmill.uploads (id, tenant, filename, bytes, sha256)
VALUES (@id, @tenant, @filename, @bytes, @sha256)
RETURNING *

-- find --
-- One upload of a tenant, finished or not; of a finished one `received` is null.
SELECT id, tenant, filename, NULL AS metadata, bytes, NULL::bigint AS received, sha256, created_at,
       NULL::timestamptz AS expires_at, false AS expired
FROM gristmill.uploads WHERE tenant = @tenant AND id = @id
UNION ALL
SELECT id, tenant, filename, metadata, bytes, received, NULL AS sha256, created_at, expires_at,
       expires_at <= now() AS expired
FROM gristmill.unfinished_uploads WHERE tenant = @tenant AND id = @id

-- newest --
-- The newest uploads of a tenant, older than @after, without metadata; of a finished one `received` is null.
(SELECT id, tenant, filename, NULL AS metadata, bytes, NULL::bigint AS received, sha256, created_at,
        NULL::timestamptz AS expires_at, false AS expired
 FROM gristmill.uploads WHERE tenant = @tenant AND (@after::text IS NULL OR id < @after)
 ORDER BY id DESC LIMIT @most::bigint)
UNION ALL
(SELECT id, tenant, filename, NULL AS metadata, bytes, received, NULL AS sha256, created_at, expires_at,
        false AS expired
 FROM gristmill.unfinished_uploads
 WHERE tenant = @tenant AND (@after::text IS NULL OR id < @after) AND expires_at > now()
 ORDER BY id DESC LIMIT @most::bigint)
ORDER BY id DESC LIMIT @most::bigint

-- use --
-- Those of the ids that the tenant has; each counts as used now.
-- In the order of ids, so that two jobs that name the same uploads do not wait for each other in a ring.
UPDATE gristmill.uploads SET used_at = now()
WHERE id IN (SELECT id FROM gristmill.uploads
             WHERE tenant = @tenant AND id = ANY (@ids::text[]) ORDER BY id FOR UPDATE)
RETURNING id

-- lacking --
-- Those of the ids whose uploads the tenant has begun and not finished.
SELECT id, received, bytes FROM gristmill.unfinished_uploads
WHERE tenant = @tenant AND id = ANY (@ids::text[])

-- filenames --
-- The file names of those of the ids that a tenant has uploaded with one.
SELECT id, filename FROM gristmill.uploads
WHERE tenant = @tenant AND id = ANY (@ids::text[]) AND filename IS NOT NULL

-- delete --
-- Forget one upload of a tenant.
DELETE FROM gristmill.uploads WHERE tenant = @tenant AND id = @id RETURNING id
