"""MoCo with non-semantic negatives (arXiv 2110.14189), in PyTorch."""
