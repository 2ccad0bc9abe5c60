"""What a comic is called: the parts of its file name, its ComicInfo.xml, and the mark that Daybook leaves there.

Pure: takes and gives text. Must never throw away what a person wrote into ComicInfo.xml: elements that are there stay,
only what is missing is filled in.
"""

import re
import unicodedata
import xml.etree.ElementTree as ElementTree

from archive import BadArchive

NAME_BYTES_MAX = 255        # what the common file systems take
FILLED_FROM_NAME = ("Series", "Volume", "Number", "Title", "Year")

_YEAR = re.compile(r"\(((?:19|20)\d\d)\)")
_REMARK = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")      # "(digital)", "[scanner's name]"
_SERIES = r"(?P<Series>.+?)"
_VOLUME = r"\s+(?:-\s+)?v(?:ol(?:ume)?)?\.?\s?(?P<Volume>\d{1,4})"
_NUMBER = r"\s+(?:-\s+)?(?:#|no\.?\s?|issue\s|chapter\s|ch\.?\s?)?(?P<Number>\d{1,4}(?:\.\d{1,2})?)(?:\s+of\s+\d+)?"
_TITLE = r"(?:\s+[-–—]\s+(?P<Title>\S.*))?"
# The first that fits. A title is only told from the series by the number or volume between them.
_NAMES = [re.compile(pattern, re.IGNORECASE) for pattern in (
    f"{_SERIES}(?:{_VOLUME})?{_NUMBER}{_TITLE}", f"{_SERIES}{_VOLUME}{_TITLE}", _SERIES)]
_MARK = re.compile(r"^Daybook did: ([a-z ]+?)(?:; was: (.+))?$", re.MULTILINE)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')                # what some file system does not take in a name


def parse_name(name):
    """The parts of a file name, as far as it tells them: 'Saga #12 - The Will (2013).cbz'."""
    stem = re.sub(r"\.cbz$", "", unicodedata.normalize("NFC", name), flags=re.IGNORECASE).replace("_", " ")
    bare, year = _tidy(_REMARK.sub(" ", stem)), _YEAR.search(stem)
    if not bare:        # nothing but remarks: then they are the name
        bare, year = _tidy(stem), None
    match = next(filter(None, (pattern.fullmatch(bare) for pattern in _NAMES)), None)
    parts = match.groupdict() if match else {}
    parts["Year"] = year and year.group(1)
    for field in ("Number", "Volume"):
        if parts.get(field):
            parts[field] = re.sub(r"^0+(?=\d)", "", parts[field])
    return {field: value for field, value in parts.items() if value}


def file_name(parts):
    """The normal form of a file name: 'Saga 012 - The Will (2013).cbz'. None without a series."""
    series = _fit(parts.get("Series", ""))
    if not series:
        return None
    volume, number, title, year = (_fit(parts.get(field, "")) for field in ("Volume", "Number", "Title", "Year"))
    if len(volume) == 4:        # the year in which the series began, as some taggers have it: not what readers count by
        volume = ""
    name = series + (f" v{volume.zfill(2)}" if volume else "") + (f" {_padded(number)}" if number else "")
    ending = (f" ({year})" if year else "") + ".cbz"
    # A title without a number before it could not be told from the series when the name is read again.
    name += f" - {title}" if title and (number or volume) else ""
    return _cut(name, NAME_BYTES_MAX - len(ending.encode())) + ending


def _padded(number):
    whole, dot, rest = number.partition(".")
    return whole.zfill(3) + dot + rest


def _fit(text):
    return _tidy(_UNFIT.sub(" ", unicodedata.normalize("NFC", text))).strip(". ")


def _tidy(text):
    return " ".join(text.split())


def _cut(text, bytes_max):
    return text.encode()[:bytes_max].decode("utf-8", "ignore").rstrip()


class ComicInfo:
    """A ComicInfo.xml, read, changed and written. Elements that we do not know pass through."""

    def __init__(self, data):
        """`data`: the file's bytes, or None for an archive that has none yet."""
        self._root = ElementTree.Element("ComicInfo") if data is None else _parse(data)

    def get(self, field):
        return (self._root.findtext(field) or "").strip()

    def set(self, field, value):
        element = self._root.find(field)
        if element is None:
            element = ElementTree.SubElement(self._root, field)
        element.text = _NOT_IN_XML.sub("", value)

    def fill(self, parts, page_count):
        """What is missing comes from the file name; the page count is what was counted."""
        for field in FILLED_FROM_NAME:
            if parts.get(field) and not self.get(field):
                self.set(field, parts[field])
        self.set("PageCount", str(page_count))

    def parts(self):
        return {field: self.get(field) for field in FILLED_FROM_NAME}

    def mark(self):
        """What Daybook did here and the file's name before: (set of operations, name or None)."""
        match = _MARK.search(self.get("Notes"))
        return (set(match[1].split()), match[2]) if match else (set(), None)

    def set_mark(self, done, was):
        """The mark is a line of Notes: it travels with the archive, and other programs leave it alone."""
        line = f"Daybook did: {' '.join(sorted(done))}" + (f"; was: {was}" if was else "")
        others = _MARK.sub("", self.get("Notes")).strip()
        self.set("Notes", f"{others}\n{line}" if others else line)

    def to_bytes(self):
        return ElementTree.tostring(self._root, encoding="utf-8", xml_declaration=True)


def _parse(data):
    # No ComicInfo.xml needs a document type; refusing it keeps entity bombs out.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise BadArchive("bad_comic_info", "ComicInfo.xml has a document type, which is refused")
    try:
        builder = ElementTree.TreeBuilder(insert_comments=True)
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=builder))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadArchive("bad_comic_info", f"ComicInfo.xml is not well-formed: {error}") from error
    if root.tag != "ComicInfo":
        raise BadArchive("bad_comic_info", f"ComicInfo.xml holds a <{root.tag}>, not a <ComicInfo>")
    return root
