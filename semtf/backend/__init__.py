"""The choice between the two sets of versions: whatever they have each in its own way.

docs/versions.md tells why there are two. No other module asks which set is installed; the modules
of this package give the same functions in both. Importing the package loads nothing.
"""

from semtf.backend.computation import require_tensorflow

__all__ = ["require_tensorflow"]
