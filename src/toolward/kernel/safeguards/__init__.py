"""Escrow, frontiers, once-only effects: nothing irreversible by accident."""
