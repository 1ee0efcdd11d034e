"""The ward's files, read with file and line, and every limit with its reason."""
