"""A gRPC-to-REST transcoding gateway."""
