-- insert --
-- Note a file that was uploaded whole.
INSERT INTO gristmill.uploads (id, tenant, filename, bytes, sha256)
VALUES (@id, @tenant, @filename, @bytes, @sha256)
RETURNING *

-- get --
-- One upload of a tenant.
SELECT * FROM gristmill.uploads WHERE tenant = @tenant AND id = @id

-- use --
-- Those of the ids that the tenant has; each counts as used now.
-- In the order of ids, so that two jobs that name the same uploads do not wait for each other in a ring.
UPDATE gristmill.uploads SET used_at = now()
WHERE id IN (SELECT id FROM gristmill.uploads
             WHERE tenant = @tenant AND id = ANY (@ids::text[]) ORDER BY id FOR UPDATE)
RETURNING id

-- delete --
-- Forget one upload of a tenant.
DELETE FROM gristmill.uploads WHERE tenant = @tenant AND id = @id RETURNING id

-- ping --
-- Whether Postgres answers.
SELECT 1
