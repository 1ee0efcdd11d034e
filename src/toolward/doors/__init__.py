"""Who asks: wire formats to attempts and replies back to wire formats, nothing more."""
