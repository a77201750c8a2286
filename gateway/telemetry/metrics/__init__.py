"""Metrics: counted in memory that processes share, and written in the text forms of Prometheus."""
