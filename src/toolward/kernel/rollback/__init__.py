"""The journal of effects, and the engine that takes a session's effects back."""
