"""The ready examples at work: their servers are started, their agent works, and every promise is looked at."""
