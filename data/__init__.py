"""Data sets: where each comes from, its checksums, how it is fetched and verified, and readers for CIFAR and digits."""
