"""Endpoints that describe the API to its users: the OpenAPI document and its page."""
