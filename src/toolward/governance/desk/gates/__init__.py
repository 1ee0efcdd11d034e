"""What a version shows before it enters a channel: tests of decisions, compatibility, evidence in the log."""
