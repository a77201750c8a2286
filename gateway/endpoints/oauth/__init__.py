"""Endpoints that issue, revoke and describe tokens."""
