"""What goes over HTTP, as pure functions: parameters, headers, row queries, pages and documents."""
