"""The files of a dataset: finding, opening and fingerprinting them. Only children do this."""
