"""HTTP/2 connections without I/O (RFC 9113): bytes in, events of streams, bytes out.

Nothing here depends on what is carried: a role's decoder (`headers.HeaderDecoder`) turns a header
block into what that role needs, and a `stream.Stream` receives the events of one stream.
"""
