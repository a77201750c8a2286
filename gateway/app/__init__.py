"""The composition root: builds a running gateway from settings."""
