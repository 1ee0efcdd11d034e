"""A planted confidential value through every encoding, to sinks that nobody cleared, each with a control."""
