"""Servers declared as a package and a version, each in an environment of its own."""
