"""The commands of `gristmill server`.

`add_parser` of each sets the function that runs, and the class of its settings.
"""
