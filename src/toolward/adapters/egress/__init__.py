"""Ways out of a cage and of the gateway: a proxy for tools, and vetted connections for upstreams."""
