ALTER TABLE gristmill.units ADD COLUMN preemptions integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN gristmill.units.preemptions IS 'leases that ended to make room for a tenant that had none; nobody is charged for them';

ALTER TABLE gristmill.workers ADD COLUMN able integer;
COMMENT ON COLUMN gristmill.workers.able IS 'slots that are at work or can take some; null: all of them';
