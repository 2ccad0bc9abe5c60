"""Fetch one page over HTTP and read what it links to.

Only loopback addresses are spoken to: a crawl takes its URL from whoever may submit a job, and must never become a
way into other machines. The address that was checked is the one that is connected to, so that a name which changes its
mind between the two makes no difference.
"""

import http.client
import ipaddress
import re
import socket
from html.parser import HTMLParser
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

BODY_BYTES_MAX = 2 * 1024 * 1024
LINKS_MAX = 1000
URL_CHARS_MAX = 2000
TITLE_CHARS_MAX = 300
TIMEOUT_S = 20
_SAFE = "/%:@!$&'()*+,;=~-._"       # what may stand in a path as it is (RFC 3986)


class BadUrl(Exception):
    """This URL is none that we fetch; the message is for people."""


def tidy_url(url):
    """One spelling for each page: no fragment, host in lower case, port only if it is not 80, a path at least '/'."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadUrl(f"{url}: {error}") from error
    if parts.scheme != "http" or not host:
        raise BadUrl(f"{url}: only http:// URLs are crawled")
    host = f"[{host}]" if ":" in host else host
    place = host if port in (None, 80) else f"{host}:{port}"
    return urlunsplit(("http", place, quote(parts.path, _SAFE) or "/", quote(parts.query, _SAFE + "?"), ""))


def site_of(url):
    """Host and port: what 'the same site' means."""
    return urlsplit(url).netloc


def loopback_address(host, port):
    """The address to connect to; BadUrl unless every address of this host is loopback."""
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise BadUrl(f"{host}: {error}") from error
    outside = [address for address in found if not ipaddress.ip_address(address).is_loopback]
    if outside:
        raise BadUrl(f"{host} is {outside[0]}: only sites on this machine (loopback) are crawled")
    return found


def fetch(url):
    """GET one URL, redirects not followed: (status, headers, body). Raises OSError when the site does not answer."""
    parts = urlsplit(url)
    port = parts.port or 80
    connection = _connect(loopback_address(parts.hostname, port), port)
    try:
        target = urlunsplit(("", "", parts.path, parts.query, ""))
        connection.request("GET", target, headers={"Host": parts.netloc, "User-Agent": "daybook-crawl"})
        response = connection.getresponse()
        return response.status, response.headers, response.read(BODY_BYTES_MAX)
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()


def _connect(addresses, port):
    """`localhost` is often ::1 and 127.0.0.1 with a server on only one of them."""
    for address in addresses:
        connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
        try:
            connection.connect()
            return connection
        except OSError as error:
            failure = error
    raise failure


def read_page(url, status, headers, body):
    """What a page job gives as its result."""
    page = {"url": url, "status": status, "type": headers.get_content_type(), "bytes": len(body), "title": None,
            "redirect": None, "links": []}
    if 300 <= status < 400 and headers.get("Location"):
        page["redirect"] = next(iter(_links(url, [headers["Location"]])), None)
    elif page["type"] in ("text/html", "application/xhtml+xml"):
        reader = _Reader(url)
        reader.feed(body.decode(_charset(headers, body), "replace"))
        page["title"] = " ".join("".join(reader.title).split())[:TITLE_CHARS_MAX] or None
        page["links"] = _links(reader.base, reader.hrefs)
    return page


def _links(base, hrefs):
    """Absolute, tidy, each once, in the order of the page; mailto:, javascript: and their like are left out."""
    found = {}
    for href in hrefs:
        try:
            link = tidy_url(urljoin(base, href))
        except (BadUrl, ValueError):
            continue
        if len(link) <= URL_CHARS_MAX and len(found) < LINKS_MAX:
            found[link] = True
    return list(found)


def _charset(headers, body):
    declared = headers.get_content_charset()
    meta = re.search(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_.:-]{1,40})", body[:2048], re.IGNORECASE)
    name = declared or (meta and meta[1].decode()) or "utf-8"
    try:
        "".encode(name)
    except LookupError:
        return "utf-8"
    return name


class _Reader(HTMLParser):
    """Collects the title and the links of a page."""

    def __init__(self, url):
        super().__init__()
        self.base, self.title, self.hrefs, self._in_title = url, [], [], False

    def handle_starttag(self, tag, attrs):
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.hrefs.append(href.strip())
        elif tag == "base" and href:
            self.base = urljoin(self.base, href)
        elif tag == "title" and not self.title:
            self._in_title = True

    def handle_endtag(self, tag):
        if tag == "title":
            self._in_title = False

    def handle_data(self, data):
        if self._in_title:
            self.title.append(data)
