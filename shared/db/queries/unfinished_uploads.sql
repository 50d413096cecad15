-- lock --
-- One session at a time counts and adds. This mode waits for no reader and no writer of the table.
LOCK TABLE gristmill.unfinished_uploads IN SHARE UPDATE EXCLUSIVE MODE

-- insert --
-- Note an upload of which no byte is here, unless the tenant has @most.
INSERT INTO gristmill.unfinished_uploads (id, tenant, filename, metadata, bytes, expires_at)
SELECT @id, @tenant, @filename, @metadata, @bytes::bigint, now() + @kept::interval
WHERE (SELECT count(*) FROM gristmill.unfinished_uploads
       WHERE tenant = @tenant AND expires_at > now()) < @most::bigint
RETURNING *, false AS expired

-- advance --
-- Note that more bytes are on disk, unless another request has noted some since.
UPDATE gristmill.unfinished_uploads SET received = @after, expires_at = now() + @kept::interval
WHERE tenant = @tenant AND id = @id AND received = @before
RETURNING *, false AS expired

-- finish --
-- Make an upload of one whose bytes are all here.
WITH whole AS (
    DELETE FROM gristmill.unfinished_uploads
    WHERE tenant = @tenant AND id = @id AND received = bytes
    RETURNING *
)
INSERT INTO gristmill.uploads (id, tenant, filename, bytes, sha256)
SELECT id, tenant, filename, bytes, @sha256 FROM whole
RETURNING *

-- delete --
-- Forget one unfinished upload of a tenant.
DELETE FROM gristmill.unfinished_uploads WHERE tenant = @tenant AND id = @id RETURNING id
