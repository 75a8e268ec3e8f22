"""A look at data before anything is trained on it."""
