"""For every test: threads, signals, and a bound on the time of a session."""

import os
import signal
import time

import pytest

# A shell that starts the tests in the background lets them ignore Ctrl-C, and programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:  # there is a worker for every core; programs under test inherit this
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
NOT_REACHED = "not reached"
STARTED = time.monotonic()


@pytest.fixture(autouse=True)
def _signal_handlers_stay():
    """A test leaves the handlers of signals as it found them: the next one may wait for Ctrl-C."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    changed = {number for number, handler in before.items() if signal.getsignal(number) != handler}
    for number in changed:
        signal.signal(number, before[number])
    assert not changed, f"the test changed what happens at {', '.join(sorted(number.name for number in changed))}"


def hexadecimal(text):
    return int(text, 16)


def pytest_addoption(parser):
    parser.addoption("--minutes", type=float, help="start no test after that many minutes, and list those not reached")
    parser.addoption("--begin", type=hexadecimal, default="0", help="a commit's hash: where in the tests to begin")


def pytest_collection_modifyitems(config, items):
    """Begin with another file each time, so that with --minutes every test has its turn.

    Tests on a GPU run where they are asked for, with -m gpu.
    """
    if "gpu" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU: make check-gpu"))
    first = config.option.begin % max(len(items), 1)
    while first and items[first].path == items[first - 1].path:
        first -= 1
    items[:] = items[first:] + items[:first]


def pytest_runtest_setup(item):
    minutes = item.config.option.minutes
    if minutes is not None and time.monotonic() - STARTED > 60 * minutes:
        pytest.skip(NOT_REACHED)


def pytest_terminal_summary(terminalreporter):
    """The names of the tests that were not reached: pytest's own summary counts them only."""
    skipped = terminalreporter.stats.get("skipped", [])
    names = [report.nodeid for report in skipped if NOT_REACHED in str(report.longrepr)]
    if names:
        terminalreporter.section(f"{NOT_REACHED} in the time given: {len(names)}")
        for name in names:
            terminalreporter.write_line(name)
