CREATE SCHEMA gristmill;
CREATE SCHEMA gristmill_results;
CREATE SCHEMA results;

CREATE TABLE gristmill.jobs (
    id              text PRIMARY KEY,
    tenant          text NOT NULL DEFAULT 'default',
    state           text NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'running', 'paused', 'cancelling', 'succeeded', 'failed', 'cancelled')),
    phase           text NOT NULL DEFAULT 'planning' CHECK (phase IN ('planning', 'scanning', 'merging', 'publishing')),
    epoch           integer NOT NULL DEFAULT 1,
    revision        bigint NOT NULL DEFAULT 1,
    spec            json NOT NULL,
    spec_digest     text NOT NULL,
    idempotency_key text,
    priority        smallint NOT NULL DEFAULT 5,
    labels          jsonb NOT NULL DEFAULT '{}',
    result_name     text,
    version         integer,
    plan            json,
    error           json,
    result          json,
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    planned_at      timestamptz,
    scanned_at      timestamptz,
    merged_at       timestamptz,
    finished_at     timestamptz,
    UNIQUE (tenant, idempotency_key),
    CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
);
CREATE INDEX jobs_newest ON gristmill.jobs (tenant, id DESC);
CREATE INDEX jobs_labels ON gristmill.jobs USING gin (labels);
CREATE INDEX jobs_live ON gristmill.jobs (id) WHERE finished_at IS NULL;
COMMENT ON COLUMN gristmill.jobs.epoch IS 'rises whenever finished units return to pending; fan-in tests it';
COMMENT ON COLUMN gristmill.jobs.plan IS 'files with their fingerprints, the schema, bytes and rows; set when planned';

CREATE TABLE gristmill.units (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id        text NOT NULL REFERENCES gristmill.jobs ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('plan', 'chunk', 'merge', 'publish')),
    no            integer NOT NULL,
    epoch         integer NOT NULL,
    state         text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'leased', 'done', 'failed', 'cancelled')),
    state_version smallint NOT NULL,
    attempt       integer NOT NULL DEFAULT 0,
    worker        text,
    deaths        smallint NOT NULL DEFAULT 0,
    crashes       smallint NOT NULL DEFAULT 0,
    errors        smallint NOT NULL DEFAULT 0,
    not_before    timestamptz NOT NULL DEFAULT now(),
    rung_at       timestamptz,
    rings         integer NOT NULL DEFAULT 0,
    leased_at     timestamptz,
    deadline_at   timestamptz,
    finished_at   timestamptz,
    payload       json NOT NULL DEFAULT '{}',
    bytes         bigint NOT NULL DEFAULT 0,
    rows_read     bigint NOT NULL DEFAULT 0,
    rows_dropped  bigint NOT NULL DEFAULT 0,
    rows_out      bigint NOT NULL DEFAULT 0,
    stats         json,
    error         json,
    UNIQUE (job_id, kind, no),
    CHECK ((state = 'leased') = (deadline_at IS NOT NULL)),
    CHECK (state <> 'leased' OR worker IS NOT NULL)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX units_pending ON gristmill.units (job_id, id) WHERE state = 'pending';
CREATE INDEX units_leased ON gristmill.units (worker) WHERE state = 'leased';
COMMENT ON COLUMN gristmill.units.attempt IS 'the number of the lease: the fencing token; it never falls';
COMMENT ON COLUMN gristmill.units.deaths IS 'leases that ended because the worker died';
COMMENT ON COLUMN gristmill.units.crashes IS 'leases that ended because the child process died';
COMMENT ON COLUMN gristmill.units.errors IS 'leases that ended in a transient error';
COMMENT ON COLUMN gristmill.units.bytes IS 'of input that a chunk covers; known when planned';
COMMENT ON COLUMN gristmill.units.rows_out IS 'groups in a chunk''s partial; rows of the result that a merge wrote';
COMMENT ON COLUMN gristmill.units.rung_at IS 'when the doorbell was last rung for it; null once claimed';

CREATE TABLE gristmill.workers (
    id         text PRIMARY KEY,
    host       text NOT NULL,
    pid        integer NOT NULL,
    version    text NOT NULL,
    slots      integer NOT NULL,
    draining   boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE gristmill.partials (
    job_id       text NOT NULL REFERENCES gristmill.jobs ON DELETE CASCADE,
    chunk        integer NOT NULL,
    piece        integer NOT NULL,
    first_bucket smallint NOT NULL,
    last_bucket  smallint NOT NULL,
    groups       bigint NOT NULL,
    data         bytea NOT NULL,
    PRIMARY KEY (job_id, chunk, piece)
);
ALTER TABLE gristmill.partials ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE gristmill.partials IS 'the states of one chunk, in pieces that each cover a range of buckets';

CREATE TABLE gristmill.results (
    tenant       text NOT NULL,
    name         text NOT NULL,
    last_version integer NOT NULL DEFAULT 0,
    current      integer,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);
COMMENT ON COLUMN gristmill.results.last_version IS 'the newest number given to a job at submit';
COMMENT ON COLUMN gristmill.results.current IS 'the version that the view shows; null until one is published';

CREATE TABLE gristmill.versions (
    job_id       text PRIMARY KEY,
    tenant       text NOT NULL,
    name         text,
    version      integer,
    relation     text NOT NULL,
    rows         bigint NOT NULL,
    digest       text NOT NULL,
    columns      json NOT NULL,
    key_columns  integer NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, name, version)
);
COMMENT ON COLUMN gristmill.versions.relation IS 'the table in schema gristmill_results; it is named after the job';

CREATE TABLE gristmill.uploads (
    id         text PRIMARY KEY,
    tenant     text NOT NULL DEFAULT 'default',
    filename   text,
    bytes      bigint NOT NULL,
    sha256     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
