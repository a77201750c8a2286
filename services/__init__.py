"""Sample back ends: real gRPC servers for the demo, the tests, and trying things out."""
