"""The cache of calls, over HTTP and a real back end that counts."""
