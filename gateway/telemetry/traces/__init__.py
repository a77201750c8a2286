"""Traces: the sampling of requests, their spans, and the export to a collector."""
