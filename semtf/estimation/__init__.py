"""Estimation: from SEM images to case, neighbours and depth."""
