"""Ten servers, three of which misbehave: what the other seven's callers notice of it."""
