"""As much of the Hugging Face Hub as its client needs to fetch a model: repositories are folders on this machine."""

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Hub(http.server.ThreadingHTTPServer):
    """Serves `models`: {"owner/name": {"revision": folder}}; a folder's commit follows from its path."""

    def __init__(self, models: dict[str, dict[str, Path]]):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.models = models

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def commit_of(folder: Path) -> str:
    return hashlib.sha1(str(folder).encode()).hexdigest()


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repository, what, revision = "/".join(parts[2:4]), parts[4], parts[5]
            folder = self._folder(repository, revision)
            if folder is None:
                return
            files = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": commit_of(file)}
                for file in sorted(folder.iterdir())
            ]
            siblings = [{"rfilename": file["path"]} for file in files]
            info = {"id": repository, "sha": commit_of(folder), "siblings": siblings}
            self._send(json.dumps(files if what == "tree" else info).encode())
            return
        if len(parts) != 5:  # what the client asks besides is nothing that a model needs
            self._send(b"{}", status=404)
            return
        folder = self._folder("/".join(parts[:2]), parts[3])
        if folder is not None:
            file = folder / parts[4]
            self._send(file.read_bytes(), {"ETag": f'"{commit_of(file)}"', "X-Repo-Commit": commit_of(folder)})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _folder(self, repository: str, revision: str) -> Path | None:
        revisions = self.server.models.get(repository)
        if revisions is None:
            self._send(b"{}", {"X-Error-Code": "RepoNotFound"}, 404)
            return None
        for name, folder in revisions.items():
            if revision in (name, commit_of(folder)):
                return folder
        self._send(b"{}", {"X-Error-Code": "RevisionNotFound"}, 404)
        return None

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        """Nothing: tests are quiet."""


@contextlib.contextmanager
def serve(models: dict[str, dict[str, Path]]) -> Iterator[str]:
    """The Hub's address while the block runs."""
    with Hub(models) as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub.address
        finally:
            hub.shutdown()
            thread.join()
