"""Processes: serving, workers and their supervisor, memory."""
