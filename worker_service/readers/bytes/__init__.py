"""The bytes of a file: positioned reads, decompression, and the errors of the libraries that decode them."""
