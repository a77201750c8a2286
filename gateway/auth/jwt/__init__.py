"""JWTs that other issuers sign."""
