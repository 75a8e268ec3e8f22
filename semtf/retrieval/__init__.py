"""Storage of adapted keys and depth values, search over shifted keys, and blending weights."""
