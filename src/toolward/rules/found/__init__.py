"""Found servers: what their descriptions say, and under which terms they run on the open path."""
