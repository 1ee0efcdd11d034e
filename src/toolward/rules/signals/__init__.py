"""Signs that something leaves which should not: secrets, personal data, blobs, links, places never sent to.

Signals are facts for policy. They find what is written plainly; structure (labels, provenance, clearance)
carries the load, since whoever controls the words can always find a spelling that no pattern knows.
"""
