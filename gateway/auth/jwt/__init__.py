"""JWTs of other issuers."""
