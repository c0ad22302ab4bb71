"""`python -m reproduce`."""

import signal
import sys

from reproduce.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped like that, too, it stops its children first
    sys.exit(main())
