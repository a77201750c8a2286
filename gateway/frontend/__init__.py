"""The HTTP side: listeners, exchanges, and the ring around every request."""
