"""Pure decisions: the life of jobs and units, retry, planning, progress. No I/O and no clock in here."""
