"""For every test of `ieg/`: TensorFlow is loaded as its programs load it."""

from ieg.start_tensorflow import prepare_tensorflow

prepare_tensorflow()
