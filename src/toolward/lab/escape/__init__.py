"""The escape suite: what hostile tools try, in every kind of cage, each with a control without one."""
