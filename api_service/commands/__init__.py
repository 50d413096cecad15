"""The commands of `python -m api_service`.

`add_parser` of each sets the function that runs, and the class of its settings.
"""
