"""One device, several, several machines; how TensorFlow is loaded."""
