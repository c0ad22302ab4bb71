"""What asks a program to stop, and what ends it at once."""

import signal

import pytest

from common.stopping import stop_signals


def test_a_second_ctrl_c_ends_at_once():
    with stop_signals() as stopped:
        signal.raise_signal(signal.SIGINT)
        assert stopped == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_first_ctrl_c_after_sigterm_asks_again():
    """A scheduler sends SIGTERM to all processes; a runner among them sends its Ctrl-C to this one."""
    with stop_signals() as stopped:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stopped == [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("under_nohup", [False, True])
def test_a_closed_terminal(under_nohup):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if under_nohup else signal.SIG_DFL)
    try:
        with stop_signals() as stopped:
            signal.raise_signal(signal.SIGHUP)
        assert stopped == ([] if under_nohup else [signal.SIGHUP])
        assert signal.getsignal(signal.SIGHUP) == (signal.SIG_IGN if under_nohup else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
