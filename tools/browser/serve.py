"""A folder on an address of this machine; what a page reports is kept, for the test that waits for it."""

from __future__ import annotations

import json
import queue
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar


class Site:
    """A server in a thread of its own, for as long as the `with` lasts."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.reports: queue.Queue[Any] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, self.reports, directory=str(folder)))
        self.thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Site:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    """Files, and reports."""

    extensions_map: ClassVar = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def __init__(self, reports: queue.Queue[Any], *arguments: Any, **how: Any) -> None:
        self.reports = reports
        super().__init__(*arguments, **how)

    def do_POST(self) -> None:
        self.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """A person who looks at a page is not told of every file."""
