"""Writes wire bytes as JSON."""
