"""AgentDojo, and what offers suites through its interface, run through the real corridor without a model."""
