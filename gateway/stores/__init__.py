"""Kept state behind small protocols: tokens, API keys, counters; opened by URL."""
