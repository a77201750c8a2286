"""The protocols that a request can speak."""
