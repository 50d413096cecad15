CREATE TABLE gristmill.sessions (
    sha256     bytea PRIMARY KEY,
    key_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE gristmill.sessions IS 'browsers that signed in to the dashboard with an API key';
COMMENT ON COLUMN gristmill.sessions.sha256 IS 'of the random id in the browser''s cookie';
COMMENT ON COLUMN gristmill.sessions.key_sha256 IS 'of the key: the session has its rights, and ends with it';
CREATE INDEX sessions_expiry ON gristmill.sessions (expires_at);
CREATE INDEX sessions_of_key ON gristmill.sessions (key_sha256, created_at);
