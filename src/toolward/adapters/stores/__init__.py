"""State and log of one ward: SQLite with group commit, and a store in memory for tests."""
