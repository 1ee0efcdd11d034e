"""The one path: `gateway` orders the stages, the other files are what it needs for that."""
