"""Learns CIFAR-10, CIFAR-100 or the embedded digits from noisy labels: CE, SLN, SLN-MO, SLN-MO-LC.

python train_cifar.py --dataset_name cifar10 --noise_mode sym --p 0.4 --sigma 1 --mo --lc_n_epoch 250 --seed 123
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from re_sln import program


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 training failed, 2 a mistake in flags or data, 130 stopped by the user."""
    return program.main("train_cifar", argv)


if __name__ == "__main__":
    sys.exit(main())
