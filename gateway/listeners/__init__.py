"""Listeners: sockets, TLS, connections."""
