"""HTTP/1.1: connections, their requests and their responses."""
