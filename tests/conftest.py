"""For every test."""

import signal

# A shell that starts the tests in the background lets them ignore Ctrl-C, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
