-- insert --
INSERT INTO gristmill.uploads (id, tenant, filename, bytes, sha256) VALUES ($1, $2, $3, $4, $5) RETURNING *

-- get --
SELECT * FROM gristmill.uploads WHERE tenant = $1 AND id = $2

-- known --
SELECT id FROM gristmill.uploads WHERE tenant = $1 AND id = ANY ($2::text[])

-- delete --
DELETE FROM gristmill.uploads WHERE tenant = $1 AND id = $2 RETURNING id

-- ping --
SELECT 1
