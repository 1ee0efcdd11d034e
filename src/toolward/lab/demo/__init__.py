"""`make demo`: the main job on real servers, from a client's mcp.json to a tampering that is found.

Every act checks what it shows; the first thing that is not as promised ends the demo with exit code 1.
"""
