"""Where the data is: uploads, and the files that `source.uris` may name."""
