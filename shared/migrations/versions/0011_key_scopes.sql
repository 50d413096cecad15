ALTER TABLE gristmill.api_keys
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{admin}'
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{read,submit,upload,admin}'),
    ADD COLUMN job text,
    ADD COLUMN parents text[] NOT NULL DEFAULT '{}',
    ADD COLUMN expires_at timestamptz;
COMMENT ON COLUMN gristmill.api_keys.scopes IS 'admin by default: a gateway of the version before makes such keys';
COMMENT ON COLUMN gristmill.api_keys.job IS 'the only job that the key opens; null: all of its tenant';
COMMENT ON COLUMN gristmill.api_keys.parents IS 'the key that made it, last, and before that the key that made that one';
CREATE INDEX api_keys_of_tenant ON gristmill.api_keys (tenant, id)
