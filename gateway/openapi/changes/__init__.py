"""The changes between two OpenAPI documents, judged for the clients of the API."""
