"""The machine: clocks and chance."""
