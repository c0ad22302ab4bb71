"""Pre-trains an encoder by MoCo with non-semantic negatives: patches, textures, or none.

python moco-non-sem-neg.py --robust patch --alpha 2 --mlp --aug-plus --cos DATA
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from moco_nonsem.pretraining.program import main

if __name__ == "__main__":
    sys.exit(main())
