"""The exchange: one HTTP request to one call, and its reply back."""
