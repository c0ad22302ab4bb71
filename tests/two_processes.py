"""`MODULE.main(ARGUMENT)` in two processes that meet, with the variables that torchrun sets; they are forked from one
that has loaded torch, where torchrun would load it in three. python -m tests.two_processes MODULE ARGUMENT
"""

import importlib
import os
import sys
import traceback

from tests.programs import free_port

COUNT = 2


def main(module: str, argument: str) -> int:
    """0 where both return 0."""
    program, port, children = importlib.import_module(module), str(free_port()), []
    os.environ |= {"WORLD_SIZE": str(COUNT), "LOCAL_WORLD_SIZE": str(COUNT)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for rank in range(COUNT):
        if not (child := os.fork()):
            code = 1
            try:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                code = program.main(argument)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
