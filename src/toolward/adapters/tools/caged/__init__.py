"""Tools that run per call, each call in a cage of its own: functions of a source file, and commands."""
