"""The export: a run as one SavedModel with signatures, and the check of it."""
