"""The rules for callers of each method, from protos and settings."""
