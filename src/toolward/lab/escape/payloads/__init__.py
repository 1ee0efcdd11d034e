"""What is tried from inside. These files travel into cages as text: they import the standard library only."""
