"""The ring: checks and headers that apply to every request, matched or not."""
