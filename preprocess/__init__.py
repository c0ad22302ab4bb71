"""Derived data sets: ImageNet-100, its textures and robustness subsets, WebVision mini, shapes filled with textures."""
