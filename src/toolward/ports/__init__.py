"""What the kernel needs of the world, as Protocols that say what an adapter MUST and MUST NOT do."""
