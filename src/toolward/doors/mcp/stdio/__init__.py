"""The stdio door: a thin client that bridges its pipes to the daemon."""
