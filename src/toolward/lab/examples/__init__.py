"""The ready examples at work: their servers run, their agent works, and every promise is looked at."""
