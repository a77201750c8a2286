"""What was asked for: the settings, and where they are read from."""
