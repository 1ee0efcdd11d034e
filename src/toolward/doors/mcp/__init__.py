"""The MCP door: streamable HTTP for both wire eras, and the stdio bridge that leads to it."""
