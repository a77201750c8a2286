"""TLS towards clients."""
