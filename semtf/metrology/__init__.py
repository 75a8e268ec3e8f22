"""Metrology: the numbers of a hole that are read off its depth map."""
