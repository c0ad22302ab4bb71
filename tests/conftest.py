"""For every test."""

import os
import signal

# Several workers of pytest share the cores, and programs under test inherit this: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
