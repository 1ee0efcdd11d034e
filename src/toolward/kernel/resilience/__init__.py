"""Whether, and when, an execution is tried: so that one slow, flooding or flapping tool slows no other."""
