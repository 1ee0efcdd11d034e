"""Streamable HTTP: the pooled client, event streams, and the link of each era over it."""
