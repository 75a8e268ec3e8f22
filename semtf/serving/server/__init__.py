"""The server: TensorFlow Serving's REST contract over worker processes that hold a model."""
