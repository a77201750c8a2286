"""The policies and deadlines of methods, from protos and settings."""
