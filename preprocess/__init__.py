"""Derived data sets: ImageNet-100, its textures, its robustness subsets, and shapes filled with textures."""
