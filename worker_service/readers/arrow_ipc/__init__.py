"""Arrow IPC files and streams, Feather version 2 among them: `file` opens one, `plan` cuts, `read` reads."""
