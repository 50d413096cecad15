"""The commands of `python -m api_service`; `add_parser` of each sets what runs and on which settings."""
