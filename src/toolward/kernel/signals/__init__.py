"""Signals at work: where data went, what sessions did before, planted tokens and the incidents they raise."""
