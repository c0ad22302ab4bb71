"""Random numbers keyed by what they are for, never by process or worker: a step can be drawn again, alone, anywhere."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """The generator of (seed, purpose, key…), e.g. (12345, 'weak', step). Equal arguments give equal draws."""
    # DEVIATION: the authors use numpy's and Python's global generators and never seed Python's.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *key])))
