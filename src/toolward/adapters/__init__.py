"""How: the ports' contracts kept with real technology; adapters do not know each other."""
