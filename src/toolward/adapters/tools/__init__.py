"""Where tools are: MCP servers, functions of this process."""
