"""The endpoints of the admin listener."""
