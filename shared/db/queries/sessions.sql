-- insert --
-- Begin a session. Those that expired go, and all but the newest @most of the key.
WITH expired AS (
    DELETE FROM gristmill.sessions WHERE expires_at < now()
), many AS (
    DELETE FROM gristmill.sessions WHERE sha256 IN (
        SELECT sha256 FROM gristmill.sessions WHERE key_sha256 = @key_sha256 AND expires_at >= now()
        ORDER BY created_at DESC OFFSET @most::int - 1)
)
INSERT INTO gristmill.sessions (sha256, key_sha256, expires_at)
VALUES (@sha256, @key_sha256, now() + @lasts::interval)

-- key --
-- The key of a session that has not expired.
SELECT key_sha256 FROM gristmill.sessions WHERE sha256 = @sha256 AND expires_at > now()

-- delete --
-- End a session.
DELETE FROM gristmill.sessions WHERE sha256 = @sha256
