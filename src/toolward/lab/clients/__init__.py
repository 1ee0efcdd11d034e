"""Clients that are not ours: each runs in an environment of its own and imports nothing of toolward.

A program reads one JSON object from stdin and writes one to stdout; `interop` starts them.
"""
