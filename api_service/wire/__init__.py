"""The contents of requests and answers, as pure functions: parameters, headers, row queries, documents."""
