"""`doctor`: facts are found once (look), and each check is a pure verdict about them (checks)."""
