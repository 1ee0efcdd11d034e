"""Messages to places outside, one connection each."""
