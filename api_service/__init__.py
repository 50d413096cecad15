"""The gateway: the HTTP service in front of the jobs and their results."""
