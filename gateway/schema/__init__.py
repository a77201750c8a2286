"""The schema: descriptors, methods and their HTTP rules."""
