"""Values of HTTP that every room shares; nothing here does I/O."""
