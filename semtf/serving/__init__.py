"""Serving: a run as one SavedModel with a serving signature."""
