"""Stores for tokens, API keys and counters, opened by URL."""
