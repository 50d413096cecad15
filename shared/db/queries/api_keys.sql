-- insert --
INSERT INTO gristmill.api_keys (id, tenant, name, sha256) VALUES ($1, $2, $3, $4)

-- any --
SELECT EXISTS (SELECT FROM gristmill.api_keys)

-- use --
UPDATE gristmill.api_keys SET last_used_at = now() WHERE sha256 = $1 AND revoked_at IS NULL RETURNING tenant

-- all --
SELECT id, tenant, name, created_at, last_used_at, revoked_at FROM gristmill.api_keys ORDER BY id

-- revoke --
UPDATE gristmill.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id
