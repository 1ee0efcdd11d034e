"""Before-images of declared paths, taken and put back in a cage that sees nothing else."""
