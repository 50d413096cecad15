-- insert --
-- Store the digest of a new key.
INSERT INTO gristmill.api_keys (id, tenant, name, sha256) VALUES (@id, @tenant, @name, @sha256)

-- any --
-- Whether a key was ever made.
SELECT EXISTS (SELECT FROM gristmill.api_keys)

-- use --
-- The tenant of a key that is not revoked; notes the time.
UPDATE gristmill.api_keys SET last_used_at = now() WHERE sha256 = @sha256 AND revoked_at IS NULL
RETURNING tenant

-- all --
-- Every key, oldest first.
SELECT id, tenant, name, created_at, last_used_at, revoked_at FROM gristmill.api_keys ORDER BY id

-- revoke --
-- Revoke a key; one that is revoked keeps its time.
UPDATE gristmill.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id RETURNING id
