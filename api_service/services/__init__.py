"""The rules of the gateway, without HTTP: one service a noun."""
