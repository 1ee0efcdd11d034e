"""Found servers: what sources name, who admitted it, and what calls of their tools used up."""
