"""Path templates, and the router built from them."""
