"""What the kernel asks of cages, and what it hears of them."""
