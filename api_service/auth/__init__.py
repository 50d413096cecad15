"""API keys: how they look, whose they are, and the check that each request passes."""
