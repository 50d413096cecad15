"""Authentication: API keys, their tenants, and the check that each request passes."""
