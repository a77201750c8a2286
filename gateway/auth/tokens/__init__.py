"""Tokens that the gateway issues itself."""
