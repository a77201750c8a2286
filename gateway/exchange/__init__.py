"""The exchange: turns one HTTP request into one call, and the reply into one response."""
