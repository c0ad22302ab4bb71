"""Another name of imagenet_texture_syn, as the authors spell it."""

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess.imagenet_texture_syn import main

if __name__ == "__main__":
    sys.exit(main())
