"""CSV: `file` is what all of it works with; `plan` cuts and samples, `read` yields batches.

From the bytes up: `bits`, `dialect`, `masked`, `scan`, `content`, `file`; then `blocks`,
`tokenizer`, `faults`, `cuts`, `head`; at the top `plan` and `read`. A module imports those before it only.
"""
