"""Whether the session's own words ask for a call, and who stands behind each value that decides in it."""
