"""Kind `comics`: one operation on every wanted .cbz archive of a folder, an item for each, four at a time.

Runs in mode "command". Must never begin with the archives before the server has the whole list of them: only so can
a rerun trust the items it is handed and list nothing a second time.
"""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from archive import BadArchive          # noqa: E402
from daybook_worker import JobFailed, Stopped, run_command  # noqa: E402
from folder import Folder               # noqa: E402

FILES_AT_ONCE = 4
ITEMS_MAX = 100_000         # what the server takes for one job


def handle(job):
    operation, folder = job.args["operation"], _open_folder(job)
    names = _to_do(job, folder, operation)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())    # finish the files in hand, begin no more
    tally = Tally(job, len(names))
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        futures = {pool.submit(_one, folder, name, operation, stop): name for name in names}
        for future in as_completed(futures):
            if future.result() is not None:
                tally.report(futures[future], future.result())
    if tally.left():
        raise Stopped()
    return {"folder": job.args["folder"], "operation": operation, **tally.counts()}


def _open_folder(job):
    try:
        folder = Folder(job.args["folder"])
    except (OSError, ValueError) as error:
        raise JobFailed("no_folder", f"{job.args['folder']}: {getattr(error, 'strerror', error)}") from error
    job.progress(stage="waiting for the folder", percent=0)
    folder.hold()
    return folder


def _to_do(job, folder, operation):
    """A first run lists the folder and tells the server; a rerun takes the items that are still pending."""
    pending = job.pending_keys()
    if job.checkpoint:
        return pending
    job.progress(stage="listing", percent=0)
    listed = [_sendable(name) for name in _wanted(job.args, folder, operation)]
    if len(listed) > ITEMS_MAX:
        raise JobFailed("too_many_files", f"the folder has {len(listed)} archives; a job takes {ITEMS_MAX}")
    job.add_items(listed)
    job.save_checkpoint({"listed": len(listed)})
    return list(dict.fromkeys(pending + listed))


def _wanted(args, folder, operation):
    if args["select"] == "selected":
        return args["files"]
    names = folder.names()
    return names if args["select"] == "all" else [n for n in names if not folder.is_marked(n, operation)]


def _sendable(name):
    """A file name need not be UTF-8, JSON must be. Such an archive fails its item as missing, and is left as it is."""
    return os.fsencode(name).decode("utf-8", "replace")


def _one(folder, name, operation, stop):
    """(state, result, error) of one archive, or None when the job was stopped before it began."""
    if stop.is_set():
        return None
    try:
        return "completed", folder.work(name, operation), None
    except BadArchive as error:
        return "failed", None, {"code": error.code, "message": str(error)}
    except OSError as error:
        return "failed", None, {"code": "io_error", "message": f"{error.strerror or error}"}


class Tally:
    """Counts and reports items. Of a rerun the counts go on from those that the server has already."""

    def __init__(self, job, count):
        before = job.row.get("items") or {}
        self._job, self._operation = job, job.args["operation"]
        self._states = {state: before.get(state) or 0 for state in ("completed", "failed")}
        self._done = sum(self._states.values()) + (before.get("skipped") or 0)
        self._total = self._done + count

    def report(self, name, outcome):
        state, result, error = outcome
        self._job.item(name, state, result, error)
        if error:
            self._job.log(f"failed: {name}: {error['message']}")
        self._states[state] += 1
        self._done += 1
        self._job.progress(stage=self._operation, message=name, done=self._done, total=self._total,
                           percent=100 * self._done // self._total)

    def left(self):
        return self._total - self._done

    def counts(self):
        return dict(self._states)


if __name__ == "__main__":
    run_command(handle)
