"""What runs inside the cage. Its files travel as text and know the standard library only."""
