-- _columns --
-- A key that made it, and was revoked, ends it too.
id, tenant, name, scopes, job, parents, created_at, expires_at, last_used_at,
(SELECT min(ended.revoked_at) FROM gristmill.api_keys ended
 WHERE ended.id = ANY (k.parents || k.id)) AS revoked_at

-- insert --
-- Store the digest of a new key. It ends after @lasts, at @latest, or never if both are null.
INSERT INTO gristmill.api_keys AS k (id, tenant, name, sha256, scopes, job, parents, expires_at)
VALUES (@id, @tenant, @name, @sha256, @scopes::text[], @job, @parents::text[],
        least(now() + @lasts::interval, @latest::timestamptz))
RETURNING {_columns}

-- any --
-- Whether a key was ever made.
SELECT EXISTS (SELECT FROM gristmill.api_keys)

-- use --
-- A key that has not ended, and the time that it has left; notes the time.
UPDATE gristmill.api_keys k SET last_used_at = now()
WHERE sha256 = @sha256 AND (expires_at IS NULL OR expires_at > now())
  AND NOT EXISTS (SELECT FROM gristmill.api_keys ended
                  WHERE ended.id = ANY (k.parents || k.id) AND ended.revoked_at IS NOT NULL)
RETURNING {_columns}, expires_at - now() AS time_left

-- all --
-- Every key, oldest first.
SELECT {_columns} FROM gristmill.api_keys k ORDER BY id

-- page --
-- Keys of a tenant, newest first. With @maker only those that this key made.
SELECT {_columns} FROM gristmill.api_keys k
WHERE tenant = @tenant AND (@maker::text IS NULL OR parents[cardinality(parents)] = @maker)
  AND (@after::text IS NULL OR id < @after)
ORDER BY id DESC LIMIT @most

-- get --
-- One key of a tenant. With @maker only if this key made it.
SELECT {_columns} FROM gristmill.api_keys k
WHERE id = @id AND tenant = @tenant AND (@maker::text IS NULL OR parents[cardinality(parents)] = @maker)

-- revoke --
-- Revoke a key, and tell its tenant; one that is revoked keeps its time.
UPDATE gristmill.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = @id RETURNING tenant
