"""The façade: HTTP to protobuf wire bytes and back. It never awaits.

Four questions, in the order a request asks them: `match` (which binding), `decode` (the request's
message), `encode` (the reply's payload), `encode_error` (any failure's payload).
"""
