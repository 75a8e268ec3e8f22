"""The fab's noise: its kinds, their sizes found without labels, and queries made with it."""
