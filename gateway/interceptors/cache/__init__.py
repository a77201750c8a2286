"""The stages of a chain that answer from the cache of calls, and that keep it true."""
