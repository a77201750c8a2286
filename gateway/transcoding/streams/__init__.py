"""Streams: several messages in one HTTP body."""
