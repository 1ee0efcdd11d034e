"""Objectives at work: what people approved for which channel, and sessions from step to step."""
