"""A local web server that misbehaves on request."""

import contextlib
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves `files` (path → bytes). For each path, `script` holds what to do at each request; then all goes well.

    A step is one of: "ok", "drop" (half of what is due), "break_at_half"
    (no Range, and half of it all), "stall" (a byte, then silence), "no_range", "bad_range",
    "flip" (a wrong byte), "short" / "long" (announces and sends another length), "html", "redirect", "unsafe", or a
    status code. `log` holds a (path, Range, If-Range, step) for each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.script: dict[str, list[str | int]] = defaultdict(list)
        self.log: list[tuple[str, str | None, str | None, str | int]] = []
        self.etag: str | None = '"v1"'
        self.stall = 1.0
        self.pause = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}{path}"

    def add(self, path: str, content: bytes, *steps: str | int) -> str:
        self.files[path] = content
        self.script[path] = list(steps)
        return self.url(path)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        steps = self.script[request.path]
        step = steps.pop(0) if steps else "ok"
        wanted, condition = request.headers["Range"], request.headers["If-Range"]
        self.log.append((request.path, wanted, condition, step))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client gave up, as some tests want
            self._answer(request, step, wanted, condition)

    def _answer(
        self, request: BaseHTTPRequestHandler, step: str | int, wanted: str | None, condition: str | None
    ) -> None:
        content = self.files.get(request.path, b"")
        request.close_connection = True
        if isinstance(step, int) or request.path not in self.files:
            request.send_response(step if isinstance(step, int) else 404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if step in ("redirect", "unsafe"):
            self.files["/moved"] = content
            request.send_response(302)
            request.send_header("Location", "/moved" if step == "redirect" else "ftp://127.0.0.1/x")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        stale = condition is not None and condition != self.etag
        partial = bool(wanted) and step not in ("no_range", "break_at_half") and not stale
        if partial and start >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        first = start + 1 if step == "bad_range" else start
        body = content[first:] if partial else content
        if step == "flip":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if step in ("short", "long"):
            body = body[:-10] if step == "short" else body + b"0123456789"
        request.send_response(206 if partial else 200)
        if partial:
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if self.etag:
            request.send_header("ETag", self.etag)
        request.send_header("Content-Type", "text/html" if step == "html" else "application/octet-stream")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if step in ("drop", "break_at_half"):
            body = body[: max(1, len(body) // 2)]
        if step == "stall":
            request.wfile.write(body[:1])
            time.sleep(self.stall)
            return
        for position in range(0, len(body), 1 << 16):
            request.wfile.write(body[position : position + (1 << 16)])
            time.sleep(self.pause)
