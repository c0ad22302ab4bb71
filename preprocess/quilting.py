"""Image quilting (Efros & Freeman, SIGGRAPH 2001): a texture from blocks of example patches, in numpy.

Blocks are laid with overlaps of 1/6 of their side. What a block looks at
lies on earlier anti-diagonals, so all blocks of one anti-diagonal are chosen and cut at once. Everything is a pure
function of its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from preprocess.boundary_cut import boundary_cut, cut_path_mask

BLOCK = 36
OVERLAP = 6  # the overlap is the sixth part of a block
TOLERANCE = 0.1
SHARE = 0.6
# (rows up, columns left) of the blocks near by that are laid earlier, two blocks away at most.
NEIGHBOURS = [(up, back) for up in range(3) for back in range(-2, 3) if up + back > 0]


def overlap_mask(block: int, overlap: int, left: bool, top: bool) -> np.ndarray:
    """Which pixels of a new block lie over what is there already: a strip, or an L. Returns: bool [block, block]."""
    mask = np.zeros((block, block), dtype=bool)
    mask[:, :overlap] |= left
    mask[:overlap, :] |= top
    return mask


class Candidates:
    """Every block of the sources as a candidate, with what their overlap errors have in common computed once.

    Args: sources float64 [S, p, p, 3]; block, overlap in pixels, overlap < block ≤ p.
    """

    def __init__(self, sources: np.ndarray, block: int, overlap: int) -> None:
        self.block, self.overlap, self.side = block, overlap, sources.shape[1]
        self.places = self.side - block + 1  # P: top-left corners a side
        self.shape = (len(sources), self.places, self.places)
        self._sources = sources
        self.spectrum = np.fft.rfft2(sources, axes=(1, 2))  # [S, p, p//2+1, 3]
        squares = np.square(sources).sum(axis=3)
        self.energy = {
            (left, top): self._correlate_squares(squares, overlap_mask(block, overlap, left, top))
            for left, top in ((True, False), (False, True), (True, True))
        }

    def errors(self, there: np.ndarray, left: bool, top: bool) -> np.ndarray:
        """Sum of squared differences over the overlap between each candidate and what is there already.

        Σ(s − t)² = Σ s² − 2 Σ s·t + Σ t², the middle one by the correlation theorem.

        Args: there float64 [B, block, block, 3], of which only the overlap counts. Returns: [B, S, P, P], ≥ 0.
        """
        mask = overlap_mask(self.block, self.overlap, left, top)
        template = np.where(mask[:, :, None], there, 0.0)
        spectrum = np.fft.rfft2(template, s=(self.side, self.side), axes=(1, 2))  # [B, p, p//2+1, 3]
        product = np.einsum("syxc,byxc->bsyx", self.spectrum, spectrum.conj())
        cross = np.fft.irfft2(product, s=(self.side, self.side))[:, :, : self.places, : self.places]
        own = np.square(template).sum(axis=(1, 2, 3))[:, None, None, None]
        return np.maximum(self.energy[left, top] - 2 * cross + own, 0.0)

    def blocks(self, chosen: np.ndarray) -> np.ndarray:
        """The blocks at (source, y, x). Args: chosen int [B, 3]. Returns: [B, block, block, 3]."""
        y, x = _windows(chosen[:, 1], chosen[:, 2], self.block)
        return self._sources[chosen[:, 0, None, None], y, x]

    def _correlate_squares(self, squares: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Σ s² over the overlap of each candidate: [S, P, P]."""
        shape = (self.side, self.side)
        product = np.fft.rfft2(squares) * np.fft.rfft2(mask.astype(float), s=shape).conj()
        return np.fft.irfft2(product, s=shape)[:, : self.places, : self.places]


def choose(errors: np.ndarray, allowed: np.ndarray, tolerance: float, draw: np.ndarray) -> np.ndarray:
    """One candidate for each block, uniformly among those whose error is at most (1 + tolerance) times the least.

    Args: errors float [B, M]; allowed bool [B, M], at least one each; draw float [B] in [0, 1). Returns: int64 [B].
    """
    errors = np.where(allowed, errors, np.inf)
    good = errors <= errors.min(axis=1, keepdims=True) * (1 + tolerance)
    count = good.cumsum(axis=1)
    return (count > (draw * count[:, -1]).astype(np.int64)[:, None]).argmax(axis=1)


def far_from(places: int, sources: int, centres: np.ndarray, radius: int) -> np.ndarray:
    """Which candidates are at least `radius` pixels (in x or y) from given ones of the same source.

    Args: centres int [B, C, 3], (source, y, x) each, any integers. Returns: bool [B, sources, places, places].
    """
    line = np.arange(places)
    near_y = np.abs(line - centres[:, :, 1, None]) < radius  # [B, C, P]
    near_x = np.abs(line - centres[:, :, 2, None]) < radius
    same = np.arange(sources) == centres[:, :, 0, None]  # [B, C, S]
    near = same[:, :, :, None, None] & near_y[:, :, None, :, None] & near_x[:, :, None, None, :]
    return ~near.any(axis=1)


def new_block_mask(error: np.ndarray, overlap: int, left: bool, top: bool) -> np.ndarray:
    """Which pixels the new block gives: those right of its vertical and below its horizontal boundary cut.

    Args: error float [B, block, block], squared differences, of which only the overlap counts. Returns: bool, alike.
    """
    mask = np.ones(error.shape, dtype=bool)
    if left:
        mask[:, :, :overlap] &= cut_path_mask(boundary_cut(error[:, :, :overlap]), overlap)
    if top:
        across = cut_path_mask(boundary_cut(error[:, :overlap].transpose(0, 2, 1)), overlap)
        mask[:, :overlap] &= across.transpose(0, 2, 1)
    return mask


def softened(mask: np.ndarray) -> np.ndarray:
    """The mask as weights that rise over four pixels where it begins. Args: bool [B, h, w]. Returns: float, 0…1."""
    weight = mask.astype(float)
    for axis in (1, 2, 1, 2):
        padding = [(1, 1) if each == axis else (0, 0) for each in range(3)]
        padded = np.moveaxis(np.pad(weight, padding, mode="edge"), axis, 0)
        weight = np.moveaxis((padded[:-2] + padded[1:-1] + padded[2:]) / 3, 0, axis)
    return weight


def quilt(
    sources: np.ndarray,
    size: int,
    random: np.random.Generator,
    block: int = BLOCK,
    tolerance: float = TOLERANCE,
    soft: bool = True,
) -> tuple[np.ndarray, float]:
    """A texture of the sources' blocks, and how well they fit.

    Args: sources uint8 [S, p, p, 3]; block a multiple of 6 and at most p; tolerance: a block is drawn from the
    candidates whose overlap error is at most (1 + tolerance) times the least; soft: blend along the cuts.
    Returns: uint8 [size, size, 3]; the mean squared difference a pixel and channel in the overlaps, levels² of 0…255.
    """
    overlap = block // OVERLAP
    step = block - overlap
    count = max(1, -(-(size - overlap) // step))
    candidates = Candidates(sources.astype(np.float64), block, overlap)
    canvas = np.zeros((count * step + overlap, count * step + overlap, 3))
    chosen = np.zeros((count, count, 3), dtype=np.int64)  # source, y, x
    differences, pixels = 0.0, 0
    for rows, columns in _independent_blocks(count):
        left, top = bool(columns[0]), bool(rows[0])
        window = _windows(rows * step, columns * step, block)
        there = canvas[window]  # [B, block, block, 3]
        errors = candidates.errors(there, left, top) if left or top else np.zeros((1, *candidates.shape))
        allowed = _allowed(candidates, chosen, rows, columns, random)
        pick = choose(errors.reshape(len(rows), -1), allowed, tolerance, random.random(len(rows)))
        chosen[rows, columns] = np.stack(np.unravel_index(pick, candidates.shape), axis=1)
        new = candidates.blocks(chosen[rows, columns])
        mask = new_block_mask(np.square(new - there).sum(axis=3), overlap, left, top)
        # DEVIATION: the paper leaves the cut hard; in smooth shading that shows the grid of the blocks.
        weight = np.where(overlap_mask(block, overlap, left, top) & soft, softened(mask), mask)
        canvas[window] = there + weight[..., None] * (new - there)
        differences += errors.reshape(len(rows), -1)[np.arange(len(rows)), pick].sum()
        pixels += len(rows) * int(overlap_mask(block, overlap, left, top).sum())
    return np.rint(canvas[:size, :size]).astype(np.uint8), differences / max(1, 3 * pixels)


def _independent_blocks(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the blocks that can be laid together: an anti-diagonal, its two ends apart."""
    for diagonal in range(2 * count - 1):
        rows = np.arange(max(0, diagonal - count + 1), min(diagonal, count - 1) + 1)
        kind = (rows == 0) * 2 + (rows == diagonal)
        for each in (0, 1, 2, 3):
            if (kind == each).any():
                yield rows[kind == each], diagonal - rows[kind == each]


def _windows(y: np.ndarray, x: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the windows of side `block` at (y, x): two int arrays that broadcast to [B, block, block]."""
    line = np.arange(block)
    return y[:, None, None] + line[:, None], x[:, None, None] + line


def _allowed(
    candidates: Candidates, chosen: np.ndarray, rows: np.ndarray, columns: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Which candidates a block may choose from: bool [B, M].

    Not where a neighbour continues: an error of 0 would always win, and whole sources would come back, shapes too.
    Not what blocks near by show, and only a share of the rest, drawn for each block: else the few blocks that fit
    everywhere are laid again and again.
    """
    # DEVIATION: the paper lets a block choose among all candidates. It makes more of one texture; here no shape of a
    # photograph may survive.
    step = candidates.block - candidates.overlap
    allowed = random.random((len(rows), *candidates.shape)) < SHARE
    nowhere = np.array([-1, 0, 0])
    centres = []
    for down, across in NEIGHBOURS:
        y, x = rows - down, columns - across
        inside = ((y >= 0) & (x >= 0) & (x < len(chosen)))[:, None]
        neighbour = chosen[y.clip(0), x.clip(0, len(chosen) - 1)]
        centres.append(np.where(inside, neighbour, nowhere))
        if down + across == 1:
            centres.append(np.where(inside, neighbour + (0, down * step, across * step), nowhere))
    allowed &= far_from(candidates.places, candidates.shape[0], np.stack(centres, axis=1), candidates.block // 4)
    allowed = allowed.reshape(len(rows), -1)
    return allowed | ~allowed.any(axis=1, keepdims=True)
