"""A Prometheus on loopback that answers range queries, in a thread of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

Matrix = Sequence[Mapping[str, Any]]
Answer = Callable[[str, float, float, float], Matrix | str]
"""From query, start, end and step (seconds) to a matrix, or to an error in words."""


class Prometheus:
    """What was asked: path, form and headers of every request."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.address = ""

    @contextmanager
    def serve(self) -> Iterator[Prometheus]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                self._respond(path, query)

            def do_POST(self) -> None:
                self._respond(self.path, self.rfile.read(int(self.headers["Content-Length"])).decode())

            def _respond(self, path: str, body: str) -> None:
                form = {name: values[0] for name, values in parse_qs(body).items()}
                outer.requests.append((path, form, dict(self.headers.items())))
                found = outer.answer(form["query"], *(float(form[name]) for name in ("start", "end", "step")))
                status, answer = 200, {"status": "success", "data": {"resultType": "matrix", "result": found}}
                if isinstance(found, str):
                    status, answer = 400, {"status": "error", "error": found}
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
                pass

        return Handler
