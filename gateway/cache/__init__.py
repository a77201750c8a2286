"""The cache of calls: keys, freshness and eviction; without clocks, tasks and sockets."""
