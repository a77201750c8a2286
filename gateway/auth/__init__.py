"""Authentication: maps credentials to principals."""
