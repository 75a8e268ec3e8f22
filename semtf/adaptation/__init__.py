"""Domain adaptation: simulator images redrawn as the fab's microscope would show them."""
