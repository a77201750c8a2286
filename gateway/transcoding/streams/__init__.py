"""Several messages on one HTTP body."""
