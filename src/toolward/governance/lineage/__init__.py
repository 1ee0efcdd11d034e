"""Where the values of a session came from, read back from the record: in words and in standard forms."""
