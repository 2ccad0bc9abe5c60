"""Kind `page`: fetch one page; its result is status, title and links.

Runs in mode "command". A page that answers 404 is a result. Only a site that does not answer, or answers that the
fault is its own (5xx), fails the attempt, because trying again may help. Must never follow a redirect: where it leads
is another page, with a job of its own.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from daybook_worker import JobFailed, run_command       # noqa: E402
from web import BadUrl, fetch, read_page, tidy_url       # noqa: E402


def handle(job):
    try:
        url = tidy_url(job.args["url"])
        status, headers, body = fetch(url)
    except BadUrl as error:
        raise JobFailed("bad_url", str(error), retryable=False) from error
    except OSError as error:
        raise JobFailed("no_answer", f"{url}: {error}") from error
    if status >= 500:
        raise JobFailed("site_error", f"{url}: status {status}")
    return read_page(url, status, headers, body)


if __name__ == "__main__":
    run_command(handle)
