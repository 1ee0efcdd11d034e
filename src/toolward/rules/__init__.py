"""Verbs that decide, pure: no clock, disk, network or chance."""
