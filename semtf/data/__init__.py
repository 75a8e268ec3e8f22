"""Data sets on disk: the challenge's layout, checked, decoded, packed and batched."""
