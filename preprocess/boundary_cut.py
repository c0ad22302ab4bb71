"""The minimum-error boundary cut of image quilting."""

from __future__ import annotations

import numpy as np


def boundary_cut(error: np.ndarray) -> np.ndarray:
    """Where to cut through an overlap so that the two sides differ least (Efros & Freeman 2001, section 2.1).

    The path c_0 … c_{h-1} of least Σ_i error[i, c_i] with |c_i − c_{i-1}| ≤ 1, by dynamic programming:
    E[i, j] = error[i, j] + min(E[i-1, j-1], E[i-1, j], E[i-1, j+1]); of equal paths the one furthest left.

    Args: error float [B, h, w] ≥ 0, one overlap each, h along the cut. Returns: int64 [B, h], columns in [0, w).
    A horizontal cut is the vertical cut of the transposed overlap.
    """
    batch, height, width = error.shape
    least = np.full((height, batch, width + 2), np.inf)  # a border of ∞ each side
    least[0, :, 1:-1] = error[:, 0]
    for row in range(1, height):
        above = least[row - 1]
        before = np.minimum(np.minimum(above[:, :-2], above[:, 1:-1]), above[:, 2:])  # [B, w]
        least[row, :, 1:-1] = error[:, row] + before
    cut = np.empty((batch, height), dtype=np.int64)
    cut[:, -1] = least[-1, :, 1:-1].argmin(axis=1)
    examples, step = np.arange(batch)[:, None], np.arange(3)
    for row in range(height - 2, -1, -1):
        near = least[row][examples, cut[:, row + 1, None] + step]  # [B, 3], columns c-1, c, c+1
        cut[:, row] = cut[:, row + 1] + near.argmin(axis=1) - 1
    return cut


def cut_path_mask(cut: np.ndarray, width: int) -> np.ndarray:
    """Which pixels of the overlap come from the new block: those at the cut and right of it.

    Args: cut int [B, h]. Returns: bool [B, h, width].
    """
    return np.arange(width) >= cut[:, :, None]
