"""`python -m reproduce`."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped like that, too, it stops its children first
    if sys.argv[1:2] == ["gpu-evidence"]:  # on a machine that has no YAML reader, which the others need
        from reproduce.gpu.command import main as gpu_evidence

        sys.exit(gpu_evidence(sys.argv[2:]))
    from reproduce.cli import main

    sys.exit(main())
