"""Eight shapes as functions of the plane: how far a point lies inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.85 - np.hypot(u, v)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.72 - np.maximum(np.abs(u), np.abs(v))


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    sides = [np.cos(angle) * u + np.sin(angle) * v for angle in np.pi * np.array([1 / 2, 7 / 6, 11 / 6])]
    return 0.5 - np.maximum(np.maximum(sides[0], sides[1]), sides[2])


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five points: of each tenth of the plane, the near side of the line from an outer to an inner corner."""
    tenth = np.pi / 5
    angle = np.abs((np.arctan2(v, u) + tenth) % (2 * tenth) - tenth)
    radius = np.hypot(u, v)
    inner = 0.42 * np.array([np.cos(tenth), np.sin(tenth)])
    normal = np.array([inner[1], 1 - inner[0]]) / np.hypot(inner[1], 1 - inner[0])
    return normal[0] - (normal[0] * radius * np.cos(angle) + normal[1] * radius * np.sin(angle))


def _plus(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.minimum(0.95 - u, 0.3 - v), np.minimum(0.3 - u, 0.95 - v))


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.22 - np.abs(np.hypot(u, v) - 0.75)


def _crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(0.97 - np.hypot(u, v), np.hypot(u - 0.5, v) - 0.7)


def _bar(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.minimum(1 - np.abs(u), 0.3 - np.abs(v))


# Each in a frame in which it fits the unit circle; positive inside, near its edge the distance to it.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "plus": _plus,
    "ring": _ring,
    "crescent": _crescent,
    "bar": _bar,
}


def shape_mask(name: str, size: int, centre: np.ndarray, radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """How much of each pixel the shape covers, its edge one pixel wide.

    Args: centre float [B, 2], (y, x) in pixels; radius [B] in pixels; angle [B] in radians.
    Returns: float [B, size, size] in [0, 1].
    """
    line = np.arange(size) + 0.5
    y = (line[:, None] - centre[:, 0, None, None]) / radius[:, None, None]  # [B, size, 1]
    x = (line - centre[:, 1, None, None]) / radius[:, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    inside = SHAPES[name](cos * x + sin * y, cos * y - sin * x)
    return np.clip(0.5 + inside * radius[:, None, None], 0.0, 1.0)
