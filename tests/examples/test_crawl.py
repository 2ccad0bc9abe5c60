"""The crawl over a real site on loopback. Its children are run as real page workers, by a stand-in for the server."""

import collections
import json
import os
import signal
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support import EXAMPLES, JOB_ID, Case, Child, Finished, job_frame

CRAWL = [EXAMPLES / "crawl" / "crawl.py"]
PAGE = [EXAMPLES / "crawl" / "page.py"]


def html(title, *links):
    anchors = "".join(f'<p><a href="{link}">x</a></p>' for link in links)
    return 200, {"Content-Type": "text/html"}, f"<title>{title}</title>{anchors}".encode()


def redirect(location):
    return 302, {"Location": location}, b""


class Site:
    """Pages by path, on a free port, counting how often each was fetched."""

    def __init__(self, pages):
        self.pages, self.fetched = pages, collections.Counter()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.fetched[self.path] += 1
                status, headers, body = site.pages.get(self.path, (404, {"Content-Type": "text/html"}, b"no such page"))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class CrawlCase(Case):
    def setUp(self):
        super().setUp()
        self.children = {}                  # unique_key → id, as the server keeps it for good
        self.pool = ThreadPoolExecutor(2)
        self.addCleanup(self.pool.shutdown)

    def serve(self, pages):
        site = Site(pages)
        self.addCleanup(site.close)
        return site

    def crawl(self, url, kill_after=None, attempt=1, **args):
        """Play the server for one crawl: answer its submits, run its children. Kill it after so many submits."""
        crawl = self.start(*CRAWL, DAYBOOK_JOB_ID=JOB_ID)
        crawl.send(job_frame("crawl", {"url": url, **args}, attempt=attempt))
        lines, submits = [], 0
        for line in iter(crawl.next, None):
            lines.append(line)
            if line.get("type") != "submit":
                continue
            submits += 1
            if submits == kill_after:
                os.killpg(crawl.process.pid, signal.SIGKILL)
                continue
            if crawl.process.poll() is None and not (kill_after and submits > kill_after):
                crawl.send({"type": "submitted", "ref": line["ref"], "id": self.child_of(line["job"])})
        status, stderr = crawl.end(kill=False)
        return Finished(status, lines, stderr)

    def child_of(self, job):
        key = job["unique_key"]
        if key not in self.children:
            self.children[key] = f"child-{len(self.children)}"
            self.server.jobs[self.children[key]] = self.pool.submit(self.run_page, job, self.children[key])
        return self.children[key]

    def run_page(self, job, job_id):
        run = run_page(job["args"]["url"], self.server.url, job_id)
        done = run.status == 0
        error = None if done else {"code": "exit_status", "message": run.stderr.strip()}
        return {"id": job_id, "state": "completed" if done else "failed", "result": run.result if done else None,
                "error": error}

    def page(self, url):
        return run_page(url, self.server.url)


def run_page(url, server, job_id="page-1"):
    child = Child(["python3", *map(str, PAGE)], {"DAYBOOK_SERVER": server})
    child.send(job_frame("page", {"url": url}, job_id=job_id))
    return child.finish()


class Crawling(CrawlCase):
    def test_each_page_is_fetched_once_also_with_cycles_redirects_and_fragments(self):
        site = self.serve({})
        site.pages.update({
            "/": html("Home", "/a", "b#part", "?q=1", "/gone", "mailto:x@example.org", "http://example.org/", "//["),
            "/a": html("A", "/", "/a", "/b", "./old", site.url + "/a#again"),
            "/b": html("B", "/a", "/?q=1"),
            "/?q=1": html("Query", "/?q=2"),
            "/?q=2": html("Deeper", "/"),
            "/old": redirect("/new"),
            "/new": html("New", "/ring1"),
            "/ring1": redirect("/ring2"),
            "/ring2": redirect("/ring1"),
        })
        run = self.crawl(site.url)
        self.assertEqual(run.status, 0)
        self.assertEqual(dict(site.fetched), {path: 1 for path in [*site.pages, "/gone"]})
        self.assertEqual(run.result["broken"], [{"url": site.url + "/gone", "status": 404}])
        self.assertEqual((run.result["pages"], run.result["failed"], run.result["left_out"]), (10, [], 0))
        self.assertEqual(run.of_type("progress")[-1]["percent"], 100)

    def test_children_are_pages_with_their_own_keys(self):
        site = self.serve({"/": html("Home", "/" + "x" * 300)})
        run = self.crawl(site.url + "/")
        jobs = [frame["job"] for frame in run.of_type("submit")]
        self.assertEqual(jobs[0], {"kind": "page", "args": {"url": site.url + "/"}, "unique_key": site.url + "/"})
        self.assertRegex(jobs[1]["unique_key"], "^sha256:[0-9a-f]{64}$")

    def test_depth_and_number_of_pages_are_bounded(self):
        pages = {f"/{n}": html(str(n), f"/{n + 1}", f"/{n + 1}?b") for n in range(9)}
        site = self.serve(pages)
        run = self.crawl(site.url + "/0", max_depth=2)
        self.assertEqual(sorted(site.fetched), ["/0", "/1", "/1?b", "/2", "/2?b"])
        self.assertEqual(run.result["depth"], 2)
        site.fetched.clear()
        self.children.clear()
        run = self.crawl(site.url + "/0", max_pages=2, max_depth=1)
        self.assertEqual(sorted(site.fetched), ["/0", "/1"])
        self.assertEqual((run.result["pages"], run.result["left_out"]), (2, 1))

    def test_a_page_whose_site_fails_is_told_and_the_crawl_goes_on(self):
        site = self.serve({"/": html("Home", "/bad", "/good"), "/bad": (500, {}, b""), "/good": html("Good")})
        run = self.crawl(site.url)
        self.assertEqual((run.status, run.result["failed"]), (0, [site.url + "/bad"]))
        self.assertEqual(site.fetched["/good"], 1)

    def test_without_its_start_page_a_crawl_fails_and_says_why(self):
        site = self.serve({"/": (503, {}, b""), "/moved": redirect("/")})
        for path in ("/", "/moved"):
            with self.subTest(path):
                self.children.clear()
                run = self.crawl(site.url + path)
                self.assertEqual(run.status, 1)
                self.assertIn(f"start_unreachable: the start page {site.url}/ could not be fetched", run.stderr)
                self.assertIn("site_error", run.stderr)

    def test_the_next_attempt_asks_for_the_start_page_anew_and_for_no_other(self):
        site = self.serve({"/": (503, {}, b"")})
        self.assertEqual(self.crawl(site.url).status, 1)
        site.pages.update({"/": html("Home", "/bad"), "/bad": (503, {}, b"")})
        run = self.crawl(site.url, attempt=2)
        self.assertEqual((run.status, run.result["pages"], run.result["failed"]), (0, 2, [site.url + "/bad"]))
        again = self.crawl(site.url, attempt=2)     # as after a loss: the same attempt, the same children
        self.assertEqual((again.status, again.result), (0, run.result))
        self.assertEqual(dict(site.fetched), {"/": 2, "/bad": 1})

    def test_a_killed_crawl_runs_again_and_fetches_no_page_twice(self):
        links = [f"/{n}" for n in range(4)]
        site = self.serve({"/": html("Home", *links), **{link: html(link, "/end") for link in links},
                           "/end": html("End")})
        killed = self.crawl(site.url, kill_after=4)
        self.assertEqual(killed.status, -signal.SIGKILL)
        run = self.crawl(site.url)
        self.assertEqual((run.status, run.result["pages"]), (0, 6))
        self.assertEqual(set(site.fetched.values()), {1})

    def test_sites_that_are_not_on_this_machine_are_refused_before_there_is_a_child(self):
        for url in ("http://192.0.2.1/", "http://[2001:db8::1]/", "http://0.0.0.0/", "http:///x", "http://127.0.0.1:x"):
            with self.subTest(url):
                crawl = self.start(*CRAWL)
                crawl.send(job_frame("crawl", {"url": url}))
                run = crawl.finish()
                self.assertEqual((run.status, run.frames), (1, []))
                self.assertIn("bad_url", run.stderr)

    def test_a_refused_submit_fails_the_attempt_and_says_why(self):
        crawl = self.start(*CRAWL)
        crawl.send(job_frame("crawl", {"url": "http://127.0.0.1:9/"}))
        crawl.until("submit")
        crawl.send({"type": "error", "code": "unknown_kind", "detail": "there is no kind page"})
        run = crawl.finish()
        self.assertEqual(run.status, 1)
        self.assertIn("unknown_kind: the server took no child: there is no kind page", run.stderr)


class Pages(CrawlCase):
    def test_title_and_links_are_read_absolute_and_each_once(self):
        body = ("<html><head><title> Caf\u00e9\n &amp; bar </title><base href='/deep/'></head><body>"
                "<a href='x y'>1</a><a HREF=\"z?q=\u00e9\">2</a><a href='x y#f'>3</a><a>4</a>"
                "<svg><title>not this</title></svg></body>").encode("latin-1")
        site = self.serve({"/": (200, {"Content-Type": "text/html; charset=iso-8859-1"}, body)})
        result = self.page(site.url).result
        self.assertEqual(result["title"], "Caf\u00e9 & bar")
        self.assertEqual(result["links"], [site.url + "/deep/x%20y", site.url + "/deep/z?q=%C3%A9"])

    def test_what_is_not_html_has_no_links(self):
        site = self.serve({"/": (200, {"Content-Type": "application/json"}, json.dumps("<a href='/x'>").encode())})
        result = self.page(site.url).result
        self.assertEqual((result["type"], result["title"], result["links"]), ("application/json", None, []))

    def test_a_redirect_is_told_and_not_followed(self):
        site = self.serve({"/": redirect("/to#there")})
        result = self.page(site.url).result
        self.assertEqual((result["status"], result["redirect"]), (302, site.url + "/to"))
        self.assertEqual(dict(site.fetched), {"/": 1})

    def test_a_redirect_away_from_this_machine_leads_nowhere(self):
        site = self.serve({"/": redirect("http://192.0.2.1/")})
        run = self.crawl(site.url)
        self.assertEqual((run.status, len(self.children)), (0, 1))

    def test_a_site_that_does_not_answer_fails_the_attempt(self):
        site = Site({})
        site.close()
        run = self.page(site.url)
        self.assertEqual(run.status, 1)
        self.assertIn("no_answer", run.stderr)

    def test_a_page_outside_is_refused(self):
        self.assertIn("only sites on this machine", self.page("http://192.0.2.1/").stderr)


if __name__ == "__main__":
    unittest.main()
