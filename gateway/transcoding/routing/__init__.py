"""Path templates and the router made of them."""
