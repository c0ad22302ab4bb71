"""Image augmentation of the CIFAR and digits experiments, compiled so that plain threads run it in parallel."""
