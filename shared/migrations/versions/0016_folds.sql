ALTER TABLE gristmill.units ADD COLUMN fold bigint;
COMMENT ON COLUMN gristmill.units.fold IS 'of a leased chunk, the first unit of the fold that it has joined: one slot reads them, and one commit ends them';
