"""The two paths measured: what they cost, and what they hold under."""
