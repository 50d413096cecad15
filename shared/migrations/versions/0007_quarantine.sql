ALTER TABLE gristmill.units
    ADD COLUMN rows_filtered bigint NOT NULL DEFAULT 0,
    ADD COLUMN rows_quarantined bigint NOT NULL DEFAULT 0,
    ADD COLUMN rows_skipped bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN gristmill.units.rows_filtered IS 'rows for which `where` is not true';
COMMENT ON COLUMN gristmill.units.rows_quarantined IS 'bad rows that are kept in gristmill.quarantine';
COMMENT ON COLUMN gristmill.units.rows_skipped IS 'bad rows that were only counted';
CREATE INDEX units_bad_rows ON gristmill.units (job_id) WHERE rows_quarantined + rows_skipped > 0;

CREATE TABLE gristmill.quarantine (
    job_id         text NOT NULL REFERENCES gristmill.jobs ON DELETE CASCADE,
    epoch          integer NOT NULL,
    chunk          integer NOT NULL,
    no             integer NOT NULL,
    extent         integer NOT NULL,
    uri            text NOT NULL,
    byte           bigint,
    line_of_extent bigint,
    line           bigint,
    row            bigint,
    name           text,
    reason         text NOT NULL,
    value          text,
    record         text,
    truncated      boolean NOT NULL,
    PRIMARY KEY (job_id, chunk, no)
);
COMMENT ON TABLE gristmill.quarantine IS 'the bad rows of finished chunks, in file order by chunk and no';
COMMENT ON COLUMN gristmill.quarantine.epoch IS 'that of the job; rows vanish when their chunk is to be read again';
COMMENT ON COLUMN gristmill.quarantine.extent IS 'which extent of the chunk has the row, from 0';
COMMENT ON COLUMN gristmill.quarantine.byte IS 'where the record begins, in the bytes that are parsed';
COMMENT ON COLUMN gristmill.quarantine.line_of_extent IS 'the record''s line, counted from 1 where its extent begins';
COMMENT ON COLUMN gristmill.quarantine.line IS 'the record''s line in its file, from 1; set when the job is published';
COMMENT ON COLUMN gristmill.quarantine.row IS 'the row''s number from 1, in a format whose rows are numbered';
COMMENT ON COLUMN gristmill.quarantine.name IS 'the column at fault; null where the whole record is';
COMMENT ON COLUMN gristmill.quarantine.truncated IS 'whether record or value is only the beginning';
