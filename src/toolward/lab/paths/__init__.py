"""Scenes of two paths and one registry, each on a real ward: `python -m toolward.lab.paths SCENE`."""
