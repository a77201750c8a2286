"""Channels: one back end, called by gRPC."""
