"""The gRPC side: channels, and the last handler of every call."""
