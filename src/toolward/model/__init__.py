"""Nouns: frozen types without behaviour beyond their own consistency."""
