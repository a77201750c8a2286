"""The OpenAPI document of what a site serves, made from its bindings, types and settings."""
