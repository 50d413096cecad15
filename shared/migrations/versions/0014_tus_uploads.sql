CREATE TABLE gristmill.unfinished_uploads (
    id         text PRIMARY KEY,
    tenant     text NOT NULL,
    filename   text,
    metadata   text,
    bytes      bigint NOT NULL,
    received   bigint NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND bytes),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE gristmill.unfinished_uploads IS 'resumable uploads under way; the last byte moves a row to uploads';
COMMENT ON COLUMN gristmill.unfinished_uploads.metadata IS 'the header Upload-Metadata, as it came';
COMMENT ON COLUMN gristmill.unfinished_uploads.bytes IS 'the size that the file will have';
COMMENT ON COLUMN gristmill.unfinished_uploads.received IS 'so many first bytes are on disk; more may be, and do not count';
CREATE INDEX unfinished_uploads_listed ON gristmill.unfinished_uploads (tenant, id);
CREATE INDEX unfinished_uploads_expiry ON gristmill.unfinished_uploads (expires_at);
CREATE INDEX uploads_listed ON gristmill.uploads (tenant, id);
