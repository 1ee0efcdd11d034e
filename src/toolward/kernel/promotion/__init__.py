"""How a version gets from one channel to the next: canaries that watch it, people who agree."""
