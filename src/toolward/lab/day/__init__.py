"""A working day on real servers: how often people are asked, and what planted words get done."""
