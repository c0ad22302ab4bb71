"""IEG, FSR, L2R and supervised training on noisy labels, in TensorFlow 2."""
