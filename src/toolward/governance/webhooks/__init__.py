"""Approvals told to places outside, and answers that come from there.

`saying` shapes messages, `outgoing` sends them, `incoming` judges answers. Signatures are in `rules.webhook`.
"""
