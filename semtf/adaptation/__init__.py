"""Domain adaptation: simulator images redrawn as the fab's microscope would show them."""

from semtf.backend import require_tensorflow

require_tensorflow()
