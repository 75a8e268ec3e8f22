"""Every part of the recipe as a row of one table: methods by name, judged on one data set."""

from semtf.backend import require_tensorflow

require_tensorflow()
