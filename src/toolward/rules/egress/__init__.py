"""What may leave: spellings of hosts, kinds of addresses, requests to the proxy, names in TLS. Pure."""
