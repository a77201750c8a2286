"""The stage of a chain that does repeated requests with one idempotency key only once."""
