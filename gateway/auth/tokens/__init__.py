"""Tokens that the gateway issues."""
