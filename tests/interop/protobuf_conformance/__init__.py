"""protobuf's own conformance suite: its runner, and the program that it tests."""
