"""`gateway top`: a live view of a running gateway on a terminal."""
