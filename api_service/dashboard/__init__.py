"""The dashboard: pages for people, rendered here, on the services that the HTTP API uses."""
