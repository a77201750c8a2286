"""Clients for services that the gateway itself asks."""
