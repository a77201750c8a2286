"""What can be called: descriptors, methods and their HTTP rules."""
