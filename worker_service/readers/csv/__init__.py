"""CSV: all modules work with a `CsvFile` of `file`; `plan` cuts and samples, `read` yields batches.

From the bytes up: `bits`, `dialect`, `masked`, `scan`, `content`, `file`; then `blocks`,
`tokenizer`, `faults`, `cuts`, `head`; at the top `plan` and `read`. A module imports those before it only.
"""
