"""What a call tells its server, and what explains that it says so.

No matching finds a secret that was enciphered or put into other words. So it is asked the other way round: of
a session that has read something confidential, what a call tells must have come from elsewhere.
"""
