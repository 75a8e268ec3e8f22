"""The mark of functions that AutoGraph leaves alone."""

import tensorflow as tf

no_autograph = tf.autograph.experimental.do_not_convert
"""Decorator of a function whose control flow is decided when it is traced, not by tensors."""
