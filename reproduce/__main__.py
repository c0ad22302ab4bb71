"""`python -m reproduce`."""

import signal
import sys

from common.stopping import when_asked

if __name__ == "__main__":
    when_asked(signal.default_int_handler)  # stopped in whatever way, it stops its children first
    if sys.argv[1:2] == ["gpu-evidence"]:  # on a machine that has no YAML reader, which the others need
        from reproduce.gpu.command import main as gpu_evidence

        sys.exit(gpu_evidence(sys.argv[2:]))
    from reproduce.cli import main

    sys.exit(main())
