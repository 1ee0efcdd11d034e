"""MCP upstreams: a thin raw client for both wire eras, over streamable HTTP and stdio."""
