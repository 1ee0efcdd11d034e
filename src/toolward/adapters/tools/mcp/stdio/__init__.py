"""Servers that are processes of this machine: their pipes, their lines, their life and death."""
