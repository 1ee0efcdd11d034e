"""Honeytokens on real processes: planted by the command line, stolen by an agent, told by the daemon."""
