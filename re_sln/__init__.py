"""Stochastic label noise (SLN, ICLR 2021): PyTorch, DistributedDataParallel, Ray Tune."""
