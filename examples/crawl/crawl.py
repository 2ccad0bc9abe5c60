"""Kind `crawl`: walk a site breadth first, each page a child job of kind `page`.

Runs in mode "command". The crawl fetches nothing itself: it submits a page, waits for its result, submits what that
links to. Pages run side by side, but their results are read in the order of submission, so the walk is the same each
time. A rerun after a kill therefore asks for the same children by the same keys, and the server gives it those that
are there. A page that cannot be had is told in the result; the start page is another matter: without it there is no
walk, so the attempt fails, and the next one tries that page anew. Must never submit one page twice in one attempt, nor
a page of another site.
"""

import hashlib
import sys
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from daybook_worker import JobFailed, run_command       # noqa: E402
from web import BadUrl, loopback_address, site_of, tidy_url  # noqa: E402

WAIT_S = 50                 # the longest that the server lets a read wait
KEY_BYTES_MAX = 200
TERMINAL = ("completed", "failed", "cancelled")


def handle(job):
    start = _checked_start(job.args["url"])
    walk = Walk(job, site_of(start))
    walk.starts.add(start)
    walk.add(start, 0)
    for url, depth, child in walk.pages:        # grows while we go through it
        row = _wait(job, child)
        if url in walk.starts:
            row = _started(job, walk, url, row)
        walk.note(url, depth, row["result"] if row["state"] == "completed" else None)
    return walk.summary()


def _started(job, walk, url, row):
    """The start page's job, which must be completed. What an earlier attempt could not fetch is asked for again."""
    if row["state"] != "completed" and (job.attempt or 1) > 1:
        row = _wait(job, walk.submit(url, f"{_key(url)}#{job.attempt}"))    # no URL that we visit has a fragment
    if row["state"] == "completed":
        return row
    reason = (row.get("error") or {}).get("message") or f"its job is {row['state']}"
    raise JobFailed("start_unreachable", f"the start page {url} could not be fetched (job {row['id']}): {reason}")


def _checked_start(url):
    """Refuse a bad URL here, before there is a child."""
    try:
        start = tidy_url(url)
        parts = urllib.parse.urlsplit(start)
        loopback_address(parts.hostname, parts.port or 80)
        return start
    except BadUrl as error:
        raise JobFailed("bad_url", str(error), retryable=False) from error


def _wait(job, child):
    """The page's job when it has ended."""
    while True:
        row = job.server.get(f"/api/jobs/{child}", wait_s=WAIT_S)
        if row["state"] in TERMINAL:
            return row


class Walk:
    """Which pages are known, in order, and what came of them."""

    def __init__(self, job, site):
        self._job, self._site, self._seen = job, site, set()
        self._depth_max, self._pages_max = job.args["max_depth"], job.args["max_pages"]
        self.pages, self._failed, self._broken, self._left_out, self._done = [], [], [], set(), 0
        self.starts = set()         # the start page, and where it is redirected to

    def add(self, url, depth):
        """Submit a page of this site that is new, as long as the limits allow."""
        if url in self._seen or site_of(url) != self._site or depth > self._depth_max:
            return
        if len(self.pages) >= self._pages_max:
            self._left_out.add(url)
            return
        self._seen.add(url)
        self.pages.append((url, depth, self.submit(url, _key(url))))

    def submit(self, url, key):
        return self._job.submit({"kind": "page", "args": {"url": url}, "unique_key": key})

    def note(self, url, depth, page):
        self._done += 1
        if page is None:
            self._failed.append(url)
        elif page["redirect"]:
            if url in self.starts:
                self.starts.add(page["redirect"])
            self.add(page["redirect"], depth)       # the same page by another name, so no deeper
        else:
            self._follow(url, depth, page)
        self._report(url, depth)

    def _follow(self, url, depth, page):
        if page["status"] >= 400:
            self._broken.append({"url": url, "status": page["status"]})
            return
        for link in page["links"]:
            self.add(link, depth + 1)

    def _report(self, url, depth):
        total = len(self.pages)
        self._job.progress(stage=f"depth {depth}", message=url, done=self._done, total=total,
                           percent=100 * self._done // total)

    def summary(self):
        return {"pages": len(self.pages), "broken": self._broken, "failed": self._failed,
                "left_out": len(self._left_out), "depth": max(depth for _, depth, _ in self.pages)}


def _key(url):
    """The URL itself where it fits: it reads well in the list of jobs."""
    if len(url.encode()) <= KEY_BYTES_MAX:
        return url
    return "sha256:" + hashlib.sha256(url.encode()).hexdigest()


if __name__ == "__main__":
    run_command(handle)
