"""Records of what happened."""
