"""Excel workbooks (.xlsx): one sheet, read whole.

`workbook` opens it and bounds what it takes, `cells` has the values of cells, `plan` and `read` do the rest.
"""
