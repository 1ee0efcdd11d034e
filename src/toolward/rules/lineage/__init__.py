"""Where values come from: what a session's results held, and which of it an argument holds again."""
