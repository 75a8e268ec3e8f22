"""Evaluation: predicted depth maps against true ones, and methods against each other."""
