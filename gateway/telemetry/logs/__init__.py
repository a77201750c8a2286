"""Logs: requests, events in the life of the gateway, the audit trail."""
