"""Eight textures as functions of the plane, with the hues that go with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TURN = 2 * np.pi
WAVES = 6


def _stripes(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.sin(TURN * x)


def _checks(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return 2 * np.sin(TURN * x / 2) * np.sin(TURN * y / 2)


def _dots(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.cos(TURN * x) + np.cos(TURN * y) - 0.5


def _mesh(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return 2 * (np.maximum(np.cos(TURN * x), np.cos(TURN * y)) - 0.6)


def _rings(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.sin(TURN * np.hypot(x, y))


def _zigzag(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.sin(TURN * (y + 2 * np.abs(x / 2 % 1 - 0.5)))


def _blotches(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Plane waves of one length in random directions."""
    total = np.zeros_like(x)
    for wave in range(WAVES):
        direction, phase = draws[:, 0, 2 * wave, None, None], draws[:, 0, 2 * wave + 1, None, None]
        total += np.cos(TURN * (0.6 * (np.cos(TURN * direction) * x + np.sin(TURN * direction) * y) + phase))
    return total / 1.5


def _speckle(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return 4 * (draws - 0.5)


# Each takes coordinates in periods of the pattern [B, H, W] and uniform draws [B, H, W]; positive where it is light.
TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "mesh": _mesh,
    "rings": _rings,
    "zigzag": _zigzag,
    "blotches": _blotches,
    "speckle": _speckle,
}


def texture_fill(
    name: str, size: int, period: np.ndarray, angle: np.ndarray, origin: np.ndarray, draws: np.ndarray
) -> np.ndarray:
    """How much of each pixel has the light one of the texture's two colours.

    Args: period [B] in pixels; angle [B] in radians; origin [B, 2], (y, x) in pixels; draws uniform [B, size, size].
    Returns: float [B, size, size] in [0, 1].
    """
    line = np.arange(size) + 0.5
    y = (line[:, None] - origin[:, 0, None, None]) / period[:, None, None]
    x = (line - origin[:, 1, None, None]) / period[:, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    light = TEXTURES[name](cos * x + sin * y, cos * y - sin * x, draws)
    return np.clip(0.5 + 1.5 * light, 0.0, 1.0)


def rgb_of_hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The usual change of colour space. Args: [B] each, hue in turns, the others in [0, 1]. Returns: [B, 3], 0…1."""
    sector = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    fall = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return value[:, None] * (1 - saturation[:, None] * fall)
