"""Image augmentation of CIFAR, WebVision and the digits, compiled so that plain threads run it in parallel."""
