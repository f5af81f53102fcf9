"""A hub on this machine that sends a file whole, cut off, changed, or with the line dropped at the first attempt."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

WAYS = ("whole", "cut", "changed", "dropped")


class Sender(ThreadingHTTPServer):
    """Sends the same of every file, in one of WAYS; `asked` are the paths of the files that were asked for."""

    daemon_threads = True

    def __init__(self, content: bytes, way: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.way = content, way
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does: HEAD tells the size and the commit, GET sends the bytes."""

    server: Sender

    def log_message(self, *_: object) -> None: ...

    def told(self, length: int) -> bool:
        """Send the head of an answer; whether a file was asked for."""
        _, found, rest = self.path.partition("/resolve/")
        self.send_response(200 if found else 404)
        sent = {"Content-Length": length, "ETag": '"etag"', "X-Repo-Commit": rest.split("/")[0]} if found else {}
        for name, value in sent.items():
            self.send_header(name, str(value))
        self.end_headers()
        return bool(found)

    def do_HEAD(self) -> None:
        self.told(len(self.server.content))

    def do_GET(self) -> None:
        content, half = self.server.content, len(self.server.content) // 2
        if self.server.way == "cut":
            content = content[:half]
        elif self.server.way == "changed":
            content = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
        if self.told(len(content)):
            self.server.asked.append(self.path)
            dropped = self.server.way == "dropped" and len(self.server.asked) == 1
            self.wfile.write(content[:half] if dropped else content)


@contextmanager
def sending(content: bytes, way: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """While the block runs, huggingface_hub asks such a server and keeps what it gets in `cache`."""
    server = Sender(content, way)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(cache),
        "ENDPOINT": server.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": server.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    }.items():
        monkeypatch.setattr(constants, name, value)
    try:
        yield server
    finally:
        monkeypatch.undo()
        server.shutdown()
        server.server_close()
        thread.join()
