"""A local stand-in of the Hugging Face Hub's API: as much of it as a push needs, and what it was sent."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlparse

TOKEN = "hf_plantedplantedplanted"


class Hub(ThreadingHTTPServer):
    """The hub of one user, `me`, who may also write for `us`; `down` makes its answers HTTP errors."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, Any]] = {}  # id → private, files (name → bytes), sha, commits
        self.created: list[dict[str, Any]] = []  # what was asked of it
        self.stored: dict[str, bytes] = {}  # large files by their hash
        self.requests: list[tuple[str, str, bytes]] = []  # method, path, body
        self.down: dict[str, int] = {}  # part of a path → the status with which it answers

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def sent(self) -> list[str]:
        """The requests that change something."""
        return [path for method, path, _ in self.requests if method != "GET"]

    def holding(self, name: str, private: bool = True, **files: bytes) -> None:
        """Have a repository that is there before."""
        named = {key.replace("__", "."): value for key, value in files.items()}
        self.repositories[name] = {"private": private, "files": named, "sha": "a" * 40, "commits": []}


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does."""

    server: Hub

    def log_message(self, *_: Any) -> None: ...

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlparse(self.path).path
        self.server.requests.append((self.command, self.path, body))
        for part, status in self.server.down.items():
            if part in path:
                return self.answer({"error": "no"}, status)
        if not path.startswith("/lfs/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid credentials"}, 401)
        return self.route(path, body)

    do_GET = do_POST = do_PUT = do_HEAD = handle_any  # noqa: N815

    def route(self, path: str, body: bytes) -> None:
        if path == "/api/whoami-v2":
            return self.answer({"type": "user", "name": "me", "email": "me@example.com", "orgs": [{"name": "us"}]})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if path.startswith("/lfs/"):
            self.server.stored[path.rpartition("/")[2]] = body
            return self.answer({})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.batch(json.loads(body))
        name, _, rest = path.removeprefix("/api/models/").partition("/preupload")
        if rest:
            files = json.loads(body)["files"]
            large = [{"path": f["path"], "shouldIgnore": False, "uploadMode": mode(f["path"])} for f in files]
            return self.answer({"files": large})
        name, _, rest = path.removeprefix("/api/models/").partition("/commit")
        return self.commit(name, body) if rest else self.info(name)

    def info(self, name: str) -> None:
        if name not in self.server.repositories:
            return self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        found = self.server.repositories[name]
        siblings = [{"rfilename": file} for file in found["files"]]
        known = {"id": name, "private": found["private"], "sha": found["sha"], "siblings": siblings, "tags": []}
        return self.answer(known | {"downloads": 0, "likes": 0})

    def create(self, asked: dict[str, Any]) -> None:
        self.server.created.append(asked)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.server.repositories:
            return self.answer({"error": "You already created this model repo"}, 409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.server.repositories[name] = {"private": private, "files": {}, "sha": "b" * 40, "commits": []}
        return self.answer({"url": f"{self.server.endpoint}/{name}", "name": name, "id": name})

    def batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**o, "actions": {"upload": {"href": f"{self.server.endpoint}/lfs/{o['oid']}", "header": {}}}}
            for o in asked["objects"]
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def commit(self, name: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        found = self.server.repositories[name]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, found["sha"]):
            return self.answer({"error": "the branch has moved"}, 412)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                found["files"][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.server.stored[value["oid"]]
                assert hashlib.sha256(content).hexdigest() == value["oid"]
                found["files"][value["path"]] = content
        found["commits"].append(header)
        return self.answer(
            {"success": True, "commitOid": "c" * 40, "commitUrl": f"{self.server.endpoint}/{name}/commit/{40 * 'c'}"}
        )


def mode(name: str) -> str:
    """How the hub takes a file: text in the commit, what is large or binary beside it."""
    return "regular" if name.endswith(".md") else "lfs"


@contextmanager
def local_hub() -> Iterator[Hub]:
    """The stand-in, as long as the block runs."""
    hub = Hub()
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
