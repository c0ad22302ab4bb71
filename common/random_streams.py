"""Random numbers keyed by what they are for, never by process or worker: a step can be drawn again, alone, anywhere."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """The generator of (seed, purpose, key…), e.g. (12345, 'weak', step). Equal arguments give equal draws."""
    # DEVIATION: the papers' programs use numpy's, Python's and torch's global generators, re-seed them in passing, or
    # never seed them.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *key])))
