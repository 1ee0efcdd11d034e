"""Sources of servers: registries over HTTP, directories of descriptions."""
