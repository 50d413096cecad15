-- insert --
INSERT INTO gristmill.uploads (id, tenant, filename, bytes, sha256) VALUES ($1, $2, $3, $4, $5) RETURNING *

-- get --
SELECT * FROM gristmill.uploads WHERE tenant = $1 AND id = $2

-- use --
-- In the order of ids, so that two jobs that name the same uploads do not wait for each other in a ring.
UPDATE gristmill.uploads SET used_at = now()
WHERE id IN (SELECT id FROM gristmill.uploads WHERE tenant = $1 AND id = ANY ($2::text[]) ORDER BY id FOR UPDATE)
RETURNING id

-- delete --
DELETE FROM gristmill.uploads WHERE tenant = $1 AND id = $2 RETURNING id

-- ping --
SELECT 1
