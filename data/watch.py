"""Ends a transfer that is slower than it may be, wherever it hangs: in headers, between blocks, within one."""

import contextlib
import io
import socket
import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter


class Watch:
    """While it is entered, `received` must grow by at least `least` bytes in every `window` seconds.

    The connection of a transfer that is slower is shut down, which ends whatever waits for it, and `slow` is set. A
    time limit of the socket does not serve: it starts again with each byte.
    """

    def __init__(self, window: float, least: float) -> None:
        self.received, self.slow = 0, False
        self._window, self._least = window, least
        self._socket: socket.socket | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def connected(self, connection: socket.socket) -> None:
        """The transfer goes over this connection from now on."""
        self._socket = connection
        if self.slow:
            self._shut_down()

    def _run(self) -> None:
        before = 0
        while not self._done.wait(self._window):
            now = self.received
            if now - before < self._least:
                self.slow = True
                self._shut_down()
                return
            before = now

    def _shut_down(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class WatchedAdapter(HTTPAdapter):
    """Lets a watch know the connections of a session, those through proxies too; the body of a redirect is not read."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As HTTPAdapter."""
        super().init_poolmanager(*arguments, **options)
        self._let_know(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As HTTPAdapter."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            self._let_know(manager)
        return manager

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """As HTTPAdapter."""
        response = super().send(request, *arguments, **options)
        if response.is_redirect:  # requests would read its body into memory, however long it is
            response.close()
            response.raw = io.BytesIO()
        return response

    def _let_know(self, manager: Any) -> None:
        classes = manager.pool_classes_by_scheme.items()
        manager.pool_classes_by_scheme = {scheme: _watched(pools, self._watch) for scheme, pools in classes}


def _watched(pools: Any, watch: Watch) -> Any:
    class Connection(pools.ConnectionCls):
        def connect(self) -> None:
            super().connect()
            watch.connected(self.sock)

    class Pool(pools):
        ConnectionCls = Connection

    return Pool


def watched_session(watch: Watch) -> requests.Session:
    """A session whose connections the watch may end."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, WatchedAdapter(watch))
    return session
