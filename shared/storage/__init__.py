"""The data of jobs: uploads, and the files that `source.uris` may name."""
