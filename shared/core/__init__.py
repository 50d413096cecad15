"""Pure decisions: how a merge is divided, when to try again, all periods. No I/O and no clock in here."""
