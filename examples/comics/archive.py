"""One .cbz archive: what is in it, whether its pages are pictures, and how to write it anew.

Must never change an archive in place: a new one is written beside it, made durable, and put in its place in one step,
so that a kill at any moment leaves the old archive or the new one.
"""

import contextlib
import lzma
import os
import shutil
import struct
import zipfile
import zlib

PAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".jxl")
MEMBERS_MAX = 10_000
MEMBER_BYTES_MAX = 256 * 1024 * 1024     # a page of 256 MiB is a zip bomb, not a page
COMIC_INFO = "ComicInfo.xml"
COMIC_INFO_BYTES_MAX = 1024 * 1024
TEMPORARY = ".daybook-comics-"           # how the names of unfinished archives begin
# What zipfile and the decompressors raise on damage. RuntimeError: compression or encryption that Python has not.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, RuntimeError)


class BadArchive(Exception):
    """This archive cannot be worked on; `code` is stable, the message is for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Archive:
    """An open .cbz. Everything that can be wrong with the file becomes a BadArchive."""

    def __init__(self, path):
        self.path = path
        _check_outside(path)
        with _clear_errors():
            self._zip = zipfile.ZipFile(path)
        try:
            self.members = _checked_members(self._zip)
        except BadArchive:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._zip.close()

    @property
    def pages(self):
        return [member for member in self.members if _is_page(member.filename)]

    def comic_info(self):
        """The bytes of ComicInfo.xml, or None."""
        member = self._comic_info_member()
        if member is None:
            return None
        if member.file_size > COMIC_INFO_BYTES_MAX:
            raise BadArchive("bad_comic_info", f"{member.filename} is larger than {COMIC_INFO_BYTES_MAX} bytes")
        with _clear_errors(member.filename):
            return self._zip.read(member)

    def _comic_info_member(self):
        return next((member for member in self.members if member.filename.lower() == COMIC_INFO.lower()), None)

    def contents(self):
        """Names, sizes and checksums of all but ComicInfo.xml: equal contents, the same comic."""
        info = self._comic_info_member()
        return sorted((m.filename, m.file_size, m.CRC) for m in self.members if m is not info)

    def check_pages(self):
        """Read every page to its end, which checks its CRC, and look at its first bytes."""
        if not self.pages:
            raise BadArchive("no_pages", "there is no picture in the archive")
        for page in self.pages:
            with _clear_errors(page.filename), self._zip.open(page) as source:
                start = source.read(32)
                while source.read(1 << 20):
                    pass
            if not is_picture(start):
                raise BadArchive("bad_page", f"{page.filename} is not a picture that can be read")

    def write_with(self, comic_info, destination, temporary):
        """Write this archive with another ComicInfo.xml to `temporary`, then let it take `destination`'s place."""
        try:
            self._write(comic_info, temporary)
            os.replace(temporary, destination)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        sync_directory(os.path.dirname(destination))

    def _write(self, comic_info, temporary):
        with open(temporary, "wb") as output:
            with zipfile.ZipFile(output, "w") as target:
                target.comment = self._zip.comment
                self._copy_members(target)
                target.writestr(zipfile.ZipInfo(COMIC_INFO), comic_info, zipfile.ZIP_DEFLATED)
            output.flush()
            os.fsync(output.fileno())
        shutil.copymode(self.path, temporary)

    def _copy_members(self, target):
        info = self._comic_info_member()
        for member in self.members:
            if member is info:
                continue
            # The size is known, so zipfile can tell whether the member needs the 64-bit form.
            with _clear_errors(member.filename), self._zip.open(member) as source:
                with target.open(_fresh(member), "w") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)


def _fresh(member):
    """The member's name, time, rights and compression, without its place in the old file."""
    fresh = zipfile.ZipInfo(member.filename, member.date_time)
    fresh.compress_type, fresh.external_attr = member.compress_type, member.external_attr
    fresh.create_system, fresh.comment, fresh.file_size = member.create_system, member.comment, member.file_size
    return fresh


def _check_outside(path):
    """Tell apart what zipfile calls 'not a zip file' in every case: an empty file, a cut one, and another format."""
    with open(path, "rb") as file:
        start = file.read(4)
    if not start:
        raise BadArchive("empty_file", "the file is empty")
    if zipfile.is_zipfile(path):
        return
    if start.startswith(b"PK"):
        raise BadArchive("truncated", "the archive is cut off: its table of contents is missing")
    raise BadArchive("not_a_zip", "this is not a zip archive")


def _checked_members(opened):
    members = opened.infolist()
    if len(members) > MEMBERS_MAX:
        raise BadArchive("too_large", f"the archive has {len(members)} members, more than {MEMBERS_MAX}")
    seen = set()
    for member in members:
        if member.flag_bits & 1:
            raise BadArchive("encrypted", f"{member.filename} is encrypted")
        if member.file_size > MEMBER_BYTES_MAX:
            raise BadArchive("too_large", f"{member.filename} is larger than {MEMBER_BYTES_MAX} bytes")
        if member.header_offset < 0:        # to seek there would be an I/O error that nobody understands
            raise BadArchive("bad_zip", f"{member.filename} is said to lie outside the file")
        if member.filename in seen:
            raise BadArchive("bad_zip", f"the archive has two members named {member.filename}")
        seen.add(member.filename)
    return members


def _is_page(name):
    """macOS adds a folder of resource forks whose names end like pictures; they are none."""
    base = name.rsplit("/", 1)[-1]
    return base.lower().endswith(PAGE_ENDINGS) and not base.startswith(".") and not name.startswith("__MACOSX/")


def is_picture(start):
    """Whether these first bytes (32 are enough) are those of a picture, whatever the file's name claims."""
    return (
        start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"\xff\x0a"))
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or (start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis", b"mif1"))
        or start.startswith(b"\x00\x00\x00\x0cJXL \r\n\x87\n")
    )


@contextlib.contextmanager
def _clear_errors(member=None):
    """Turn what is raised on damage into one BadArchive that names the member."""
    try:
        yield
    except _DAMAGE as error:
        where = f"{member}: " if member else ""
        raise BadArchive("bad_zip", f"{where}{error or type(error).__name__}") from error


def sync_directory(path):
    """Make a rename durable: the new name is in the directory, and that must reach the disk too."""
    handle = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
