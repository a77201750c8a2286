"""The HTTP ring: what every request passes, matched or not."""
