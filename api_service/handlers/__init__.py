"""One module a noun: read the request, ask the service, write the answer."""
