"""Write a Daybook worker in Python: one function that takes a job and returns its result.

    import daybook_worker

    def handle(job):
        job.progress(percent=50, stage="half way")
        return {"answer": 42}

    daybook_worker.run_command(handle)     # mode = "command": a process for each job
    daybook_worker.run_session(handle)     # mode = "session": one process, many jobs

Standard library only, Python 3.9 or newer, one file: copy it. It must never print to standard output but through
`Lines`, because standard output is the wire, and it must never swallow a failure: what a handler raises is reported.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ITEMS_HANDED_MAX = 1000     # a job frame names at most so many pending items; the rest is asked for
ITEMS_PER_LINE = 1000       # keeps an add_items line far below the 16 MiB that the server reads
REQUEST_TIMEOUT_S = 75      # above the 60 s after which the server itself ends a request


class JobFailed(Exception):
    """The attempt failed for a reason that a person can read. `retryable=False`: trying again is of no use."""

    def __init__(self, code, message, retryable=True, details=None):
        super().__init__(message)
        self.code, self.message, self.retryable, self.details = code, message, retryable, details

    def as_error(self):
        return {"code": self.code, "message": self.message, "details": self.details, "retryable": self.retryable}


class Stopped(Exception):
    """The server asked for this job back: cancelled, out of time, shutting down, or no longer ours."""


class Lines:
    """Frames as JSON lines on a byte stream. Threads share one, so a line is written whole or not at all."""

    def __init__(self, stream):
        self._stream, self._lock = stream, threading.Lock()

    def write(self, frame):
        # Escaped to ASCII: the line is right whatever locale the server runs in.
        self.write_text(json.dumps(frame, separators=(",", ":")))

    def write_text(self, text):
        with self._lock:
            self._stream.write(text.encode("utf-8", "replace") + b"\n")
            self._stream.flush()


class Server:
    """The few HTTP calls that a worker makes, for one job. The lease's token goes along with each of them."""

    # Never through a proxy: http_proxy in the environment would send calls for a loopback server elsewhere.
    _opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __init__(self, job_id, token):
        self._base = os.environ.get("DAYBOOK_SERVER", "http://127.0.0.1:7878").rstrip("/")
        self._job_id, self._token = job_id, token

    def get(self, path, **query):
        url = f"{self._base}{path}?{urllib.parse.urlencode(query)}"
        return json.loads(self._call(urllib.request.Request(url)))

    def put_file(self, name, data, content_type):
        url = f"{self._base}/api/jobs/{self._job_id}/files/{urllib.parse.quote(name)}"
        headers = {"Content-Type": content_type}
        self._call(urllib.request.Request(url, data=data, method="PUT", headers=headers))

    def _call(self, request):
        request.add_header("Lease-Token", self._token)
        try:
            with self._opener.open(request, timeout=REQUEST_TIMEOUT_S) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            raise _refused(request, error) from error
        except OSError as error:
            raise JobFailed("server_unreachable", f"{request.method} {request.full_url}: {error}") from error


def _refused(request, error):
    with contextlib.closing(error):
        problem = _parse(error.read())
    problem = problem if isinstance(problem, dict) else {}
    if problem.get("code") == "lease_lost":
        return Stopped("lease_lost")
    detail = problem.get("detail") or problem.get("title") or error.reason
    return JobFailed("server_refused", f"{request.get_method()} {request.selector}: {error.code} {detail}")


def _parse(line):
    """The JSON object or array in a text, else None: a worker must not die of what it does not understand."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, (dict, list)) else None


class Job:
    """One attempt at a job, as a handler sees it; the same in both modes. Its methods may be called by any thread."""

    def __init__(self, frame, lines):
        self.row = frame["job"]
        self.id, self.kind, self.args = self.row["id"], self.row["kind"], self.row["args"]
        self.attempt, self.checkpoint = frame.get("attempt"), frame.get("checkpoint")
        self._handed, self._lines = frame.get("items") or [], lines
        self._token = frame["lease"]["token"]
        self._stop, self._submitting = threading.Event(), threading.Lock()
        self.server = Server(self.id, self._token)

    def progress(self, **fields):
        """percent, stage, message, done, total, preview (a data: URL of 512 KiB at most); any of them."""
        self._say({"type": "progress", **fields})

    def item(self, key, state, result=None, error=None):
        """Report one item: state is completed, failed or skipped; error is {code, message}."""
        self._say({"type": "item", "key": key, "state": state, "result": result, "error": error})

    def add_items(self, keys):
        """Tell the server what there is to do. Keys that it knows already are passed over."""
        for start in range(0, len(keys), ITEMS_PER_LINE):
            part = keys[start:start + ITEMS_PER_LINE]
            self._say({"type": "add_items", "items": [{"key": key} for key in part]})

    def save_checkpoint(self, data):
        """What the next attempt finds in `job.checkpoint` when this one does not come to its end."""
        self._say({"type": "checkpoint", "data": data})

    def pending_keys(self):
        """The keys of all items still pending, also of those that the job frame had no room for."""
        keys = dict.fromkeys(item["key"] for item in self._handed)
        if len(self._handed) >= ITEMS_HANDED_MAX:
            keys.update(dict.fromkeys(self._keys_from_server()))
        return list(keys)

    def _keys_from_server(self):
        query = {"state": "pending", "limit": 500}
        while True:
            page = self.server.get(f"/api/jobs/{self.id}/items", **query)
            yield from (item["key"] for item in page["items"])
            if not page.get("next_cursor"):
                return
            query["cursor"] = page["next_cursor"]

    def submit(self, job):
        """Submit a child of this job and give its id. With a unique_key that a child has already, that child's id."""
        with self._submitting:      # one at a time, so that an error that names no ref can only be about this one
            self._say({"type": "submit", "ref": self.id, "job": job})
            answer = self._next_answer()
        if answer.get("type") == "submitted":
            return answer["id"]
        detail = answer.get("detail") or answer.get("message") or answer
        raise JobFailed(answer.get("code") or "submit_refused", f"the server took no child: {detail}")

    def check(self):
        """Raise Stopped when the server wants this job back. Call it between steps."""
        if self._stop.is_set():
            raise Stopped()

    def pause(self, seconds):
        """Wait, but no longer than the server wants us to: raises Stopped like `check`."""
        self._stop.wait(seconds)
        self.check()

    def stop(self):
        self._stop.set()


class CommandJob(Job):
    """A job whose process is its own: lines need no job_id, files go into a directory."""

    def __init__(self, frame, lines, answers):
        super().__init__(frame, lines)
        self._answers = answers

    def log(self, text):
        self._lines.write_text(text)

    def put_file(self, name, data, content_type):
        """Leave an output file. The server takes the type from the name's ending here."""
        Path(os.environ["DAYBOOK_OUTPUT_DIR"], name).write_bytes(data)

    def _say(self, frame):
        self._lines.write(frame)

    def _next_answer(self):
        for line in iter(self._answers.readline, b""):
            answer = _parse(line)
            if isinstance(answer, dict) and answer.get("type") in ("submitted", "error"):
                return answer
        raise JobFailed("server_gone", "standard input ended before the server answered a submit")


class SessionJob(Job):
    """A job among others in one process: every frame names the job and proves the lease."""

    def __init__(self, frame, lines):
        super().__init__(frame, lines)
        self.cancel_reason, self._lost, self._answers = None, False, queue.SimpleQueue()

    def log(self, text):
        self._say({"type": "log", "lines": [{"stream": "stdout", "text": line} for line in text.splitlines()]})

    def put_file(self, name, data, content_type):
        """Leave an output file."""
        self.server.put_file(name, data, content_type)

    def cancel(self, reason):
        self.cancel_reason = reason
        self.stop()

    def lose(self):
        """The lease is gone: from now on the server would only answer our frames with errors."""
        self._lost = True
        self.stop()

    def answer(self, frame):
        self._answers.put(frame)

    def finish(self, handler):
        """Run the handler and say how it ended. A job that was stopped is given back, which costs no attempt."""
        try:
            self._say({"type": "complete", "result": handler(self)})
        except Stopped:
            self._say({"type": "release"})
        except JobFailed as failure:
            self._say({"type": "fail", "error": failure.as_error()})
        except Exception as error:      # a bug in the handler: the job says so, the session lives on
            traceback.print_exc()
            failure = JobFailed("worker_error", f"{type(error).__name__}: {error}")
            self._say({"type": "fail", "error": failure.as_error()})

    def _say(self, frame):
        if not self._lost:
            self._lines.write({**frame, "job_id": self.id, "token": self._token})

    def _next_answer(self):
        while True:
            self.check()
            with contextlib.suppress(queue.Empty):
                return self._answers.get(timeout=1)


def run_command(handler):
    """mode = "command": the job frame is the first line of standard input, the result our last line of output."""
    lines, answers = Lines(sys.stdout.buffer), sys.stdin.buffer
    frame = _parse(answers.readline())
    if not isinstance(frame, dict):
        sys.exit("no job frame on standard input: this program is started by Daybook, see daybook.toml")
    try:
        lines.write(handler(CommandJob(frame, lines, answers)))
    except JobFailed as failure:
        # In command mode the exit status is all that the server takes; the reason stands in the job's log.
        sys.exit(f"{failure.code}: {failure.message}")
    except Stopped:
        sys.exit(128 + signal.SIGTERM)


def run_session(handler, name, slots=1):
    """mode = "session": serve jobs until standard input ends, or the server tells us to go."""
    Session(handler, Lines(sys.stdout.buffer), slots).run(name)


class Session:
    """The main thread takes one message after another; each job has a thread. Only the main thread changes `_jobs`."""

    def __init__(self, handler, lines, slots):
        self._handler, self._lines, self._slots = handler, lines, slots
        self._inbox, self._jobs, self._leaving = queue.SimpleQueue(), {}, False

    def run(self, name):
        # SimpleQueue.put may be called from a signal handler; other locks must not be taken there.
        signal.signal(signal.SIGTERM, lambda *_: self._inbox.put({"type": "sigterm"}))
        threading.Thread(target=self._read, daemon=True).start()
        self._lines.write({"type": "hello", "name": name})
        self._lines.write({"type": "ready", "slots": self._slots})
        while not (self._leaving and not self._jobs):
            self._take(self._inbox.get())

    def _read(self):
        # A reader of our own: Python dies at its exit when a thread still waits in sys.stdin.
        for line in open(sys.stdin.fileno(), "rb", closefd=False):
            frames = _parse(line)
            for frame in frames if isinstance(frames, list) else [frames]:
                if isinstance(frame, dict):
                    self._inbox.put(frame)
        self._inbox.put({"type": "terminate"})      # the server is gone

    def _take(self, frame):
        name = frame.get("type")
        if name == "ping":
            self._lines.write({"type": "pong"})
        elif name == "job":
            self._start(frame)
        elif name == "over":
            self._forget(frame["job"])
        elif name in ("quiet", "terminate", "sigterm"):
            self._leave(name)
        else:
            self._tell_job(frame)

    def _start(self, frame):
        job = SessionJob(frame, self._lines)
        self._jobs[job.id] = job
        threading.Thread(target=self._work, args=(job,), daemon=True).start()

    def _work(self, job):
        try:
            job.finish(self._handler)
        finally:
            self._inbox.put({"type": "over", "job": job})

    def _forget(self, job):
        # A job that we released may have been handed to us again already: that is another attempt, and stays.
        if self._jobs.get(job.id) is job:
            del self._jobs[job.id]

    def _leave(self, name):
        """quiet: take no more. SIGTERM: go when the jobs in hand are over. terminate: give them back now and go."""
        if name == "quiet":
            self._lines.write({"type": "ready", "slots": 0})
        elif name == "terminate":
            self._leaving = True
            for job in self._jobs.values():
                job.stop()
        else:
            self._leaving = not any(_cancelled_alone(job) for job in self._jobs.values())

    def _tell_job(self, frame):
        """cancel, lost, submitted, error. Frames that we do not know are for newer workers: passed over."""
        job, name = self._jobs.get(frame.get("job_id") or frame.get("ref")), frame.get("type")
        if job and name == "cancel":
            job.cancel(frame.get("reason"))
            self._leaving = self._leaving and not _cancelled_alone(job)
        elif job and name == "lost":
            job.lose()
        elif job and name in ("submitted", "error"):
            job.answer(frame)
        elif name == "error":
            print(f"the server says: {frame.get('code')}: {frame.get('detail')}", file=sys.stderr)


def _cancelled_alone(job):
    """Whether a SIGTERM is only about this job: it comes with each cancel, and the session should outlive one."""
    return job.cancel_reason not in (None, "shutdown")
