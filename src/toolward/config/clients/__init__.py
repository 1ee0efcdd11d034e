"""The configuration files of MCP clients: what they say, and pointing them at the gateway."""
