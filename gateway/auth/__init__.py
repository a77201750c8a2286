"""Who is calling: credentials to principals."""
