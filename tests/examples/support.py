"""What the tests of the examples share: a stand-in for the server, and workers as the real child processes they are.

Nothing here waits for time to pass: children are waited for by what they write. A watchdog ends one that hangs.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
JOB_ID = "01890000-0000-7000-8000-000000000001"
TOKEN = "a-secret"
WATCHDOG_S = 120


class Case(unittest.TestCase):
    """A test with a directory and a stand-in server of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="daybook-test-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.server = FakeDaybook()
        self.addCleanup(self.server.close)

    def start(self, *command, **environment):
        """Start a worker as the server would: its own process group, the root as directory, pipes on both ends."""
        child = Child([sys.executable, *map(str, command)], {"DAYBOOK_SERVER": self.server.url, **environment})
        self.addCleanup(child.end)
        return child

    def run_job(self, command, frame):
        """A job in mode "command", from its frame to its exit."""
        output = self.directory / "output"
        output.mkdir(exist_ok=True)
        child = self.start(*command, DAYBOOK_JOB_ID=frame["job"]["id"], DAYBOOK_OUTPUT_DIR=str(output))
        child.send(frame)
        return child.finish()


def job_frame(kind, args, items=(), checkpoint=None, attempt=1, counts=None, job_id=JOB_ID, token=TOKEN):
    job = {"id": job_id, "kind": kind, "args": with_defaults(kind, args), "items": counts}
    return {"type": "job", "job": job, "attempt": attempt, "items": [{"key": key, "args": None} for key in items],
            "lease": {"token": token, "expires_in_s": 30}, "checkpoint": checkpoint}


def schema(kind):
    return json.loads((ROOT / "schemas" / "kinds" / f"{kind}.schema.json").read_text())


def with_defaults(kind, args):
    """What the server does before a worker sees the args."""
    defaults = {name: value["default"] for name, value in schema(kind)["properties"].items() if "default" in value}
    return {**defaults, **args}


class Finished:
    """All that a child wrote, sorted as the server would sort it."""

    def __init__(self, status, lines, stderr):
        self.status, self.stderr = status, stderr
        self.frames = [line for line in lines if isinstance(line, dict) and "type" in line]
        self.log = [line for line in lines if isinstance(line, str)]
        self.result = lines[-1] if lines and isinstance(lines[-1], dict) else None

    def of_type(self, name):
        return [frame for frame in self.frames if frame["type"] == name]

    def items(self):
        return {frame["key"]: frame for frame in self.of_type("item")}


class Child:
    """A worker process. `next()` gives its lines one by one: an object when a line is JSON, else the text."""

    def __init__(self, command, environment):
        # Little of our own environment, no locale: a worker must get along with what a service manager gives.
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self._lines, self._stderr = queue.Queue(), []
        self._readers = [threading.Thread(target=self._read_lines), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()
        self._watchdog = threading.Timer(WATCHDOG_S, self.process.kill)
        self._watchdog.start()

    def _read_lines(self):
        for line in self.process.stdout:
            self._lines.put(_understood(line))
        self._lines.put(None)

    def _read_errors(self):
        self._stderr.append(self.process.stderr.read().decode())

    def send(self, frame):
        self.process.stdin.write(json.dumps(frame).encode() + b"\n")
        self.process.stdin.flush()

    def next(self):
        """The next line, or None when there is none any more."""
        return self._lines.get()

    def until(self, wanted):
        """Read up to the first frame of this type; all that was read, that frame last."""
        seen = []
        while not (seen and isinstance(seen[-1], dict) and seen[-1].get("type") == wanted):
            line = self.next()
            if line is None:
                raise AssertionError(f"the child ended before a {wanted} frame: {seen} {self.end()}")
            seen.append(line)
        return seen

    def finish(self):
        """Read to the end and wait for the exit."""
        lines = list(iter(self.next, None))
        status, stderr = self.end(kill=False)
        return Finished(status, lines, stderr)

    def end(self, kill=True):
        """Wait for the process, after killing it if need be. May be called again."""
        if kill and self.process.poll() is None:
            self.process.kill()
        status = self.process.wait()
        self._watchdog.cancel()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        return status, "".join(self._stderr)


def _understood(line):
    try:
        return json.loads(line)
    except ValueError:
        return line.decode().rstrip("\n")


class FakeDaybook:
    """The few paths of the HTTP interface that workers call, on a free port."""

    def __init__(self):
        self.files, self.pending, self.requests, self.jobs, self.lease_lost = {}, [], [], {}, False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, method, path, query, body):
        """(status, JSON body) of a request."""
        self.requests.append((method, path, query))
        parts = path.strip("/").split("/")
        if self.lease_lost:
            return 409, {"code": "lease_lost", "title": "the lease is gone", "status": 409}
        if method == "PUT" and parts[3:4] == ["files"]:
            self.files[urllib.parse.unquote(parts[4])] = body
            return 200, {}
        if method == "GET" and parts[3:4] == ["items"]:
            return 200, self._items_page(query)
        if method == "GET" and len(parts) == 3:
            return 200, self.jobs[parts[2]].result()     # a future: the wait of `wait_s`
        return 404, {"code": "not_found", "title": "no such path", "status": 404}

    def _items_page(self, query):
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
        rows = [{"key": key, "state": "pending"} for key in self.pending[start:start + limit]]
        more = start + limit < len(self.pending)
        return {"items": rows, "next_cursor": str(start + limit) if more else None}


def _handler_for(daybook):
    class Handler(BaseHTTPRequestHandler):
        def _respond(self):
            parts = urllib.parse.urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Lease-Token") != TOKEN:
                status, answer = 403, {"code": "forbidden", "title": "no lease", "status": 403}
            else:
                query = dict(urllib.parse.parse_qsl(parts.query))
                status, answer = daybook.answer(self.command, parts.path, query, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = _respond

        def log_message(self, *_):
            pass

    return Handler
