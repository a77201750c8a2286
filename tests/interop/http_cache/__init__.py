"""The public suite of HTTP caches (npm `http-cache-tests`) against the cache of the gateway."""
