"""What runs in a child process: no credentials, no connections; files come in and answers go out as descriptors."""
