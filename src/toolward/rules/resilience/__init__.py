"""When to step back from a server or a tool, when to try again, and how much to take on."""
