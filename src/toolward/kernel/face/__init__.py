"""What agents see of all tools together: the plain list, and meta-tools that search, describe and call."""
