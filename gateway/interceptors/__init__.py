"""The interceptors that a matched call passes before it is sent to its back end."""
