"""The dialects: the protocols in which clients call methods."""
