"""The ring: checks and headers that concern every request, matched or not."""
