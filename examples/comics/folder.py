"""A folder of .cbz archives and one operation on it, four files at a time.

Order is what makes a kill harmless: the new archive takes its (new) name in one step, then the old name goes. Every
step can be done again. Must never let one archive take the name of another, nor remove one that has no equal.
"""

import fcntl
import os
import threading
import uuid
from dataclasses import dataclass

from archive import TEMPORARY, Archive, BadArchive
from metadata import ComicInfo, file_name, parse_name

STEPS = {       # what each operation does
    "process": {"check", "fill", "name"},
    "normalize": {"fill"},
    "rename": {"name"},
}


@dataclass
class Plan:
    """What an archive should become; `info` is None when what is in it is right already."""

    name: str
    pages: int
    parts: dict
    info: bytes


class Folder:
    """The archives of one folder, held against every other comics job on it for as long as this object lives."""

    def __init__(self, path):
        self._path, self._naming, self._former = path, threading.Lock(), None
        self._taken = set()
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def hold(self):
        """Wait for other jobs on this folder. The kernel lets go when a process dies, however it dies."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        for name in os.listdir(self._path):
            if name.startswith(TEMPORARY):      # of a job that was killed: nobody else can be writing it now
                os.unlink(self._at(name))

    def names(self):
        """All archives, by name. Links are passed over: what they point to may lie in another folder."""
        with os.scandir(self._path) as entries:
            found = [entry.name for entry in entries if entry.name.lower().endswith(".cbz")
                     and not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)]
        return sorted(found)

    def is_marked(self, name, operation):
        """Whether this archive is done with. One that cannot be read is not: its item says why."""
        return bool(self._mark(name)[0] & {operation, "process"})

    def _mark(self, name):
        try:
            with Archive(self._at(name)) as archive:
                return ComicInfo(archive.comic_info()).mark()
        except (BadArchive, OSError):
            return set(), None

    def work(self, name, operation):
        """Do the operation on one archive and tell what it is now. Raises BadArchive or OSError; no archive is lost."""
        if os.path.basename(name) != name or name in ("", ".", "..") or "\0" in name:
            raise BadArchive("bad_name", "only names of files in the folder itself are taken")
        if not os.path.lexists(self._at(name)):
            return self._done_before(name, operation)
        if os.path.islink(self._at(name)) or not os.path.isfile(self._at(name)):
            raise BadArchive("not_a_file", "this is not a regular file")
        with Archive(self._at(name)) as archive:
            plan = _plan(archive, name, operation)
            self._carry_out(plan, archive, name)
        return {"name": plan.name, "renamed": plan.name != name, "rewritten": plan.info is not None,
                "pages": plan.pages, **{field.lower(): value for field, value in plan.parts.items() if value}}

    def _carry_out(self, plan, archive, name):
        self._reserve(plan.name, name, archive)
        try:
            if plan.info is not None:
                temporary = self._at(f"{TEMPORARY}{uuid.uuid4()}.tmp")
                archive.write_with(plan.info, self._at(plan.name), temporary)
            if plan.name != name:
                self._leave_old_name(plan, name)
        except BaseException:
            self._taken.discard(plan.name)
            raise

    def _leave_old_name(self, plan, name):
        if plan.info is None:
            os.rename(self._at(name), self._at(plan.name))
        elif not _same_file(self._at(name), self._at(plan.name)):
            os.unlink(self._at(name))
        os.fsync(self._handle)

    def _reserve(self, wanted, name, archive):
        """Names are given out one at a time: two files that tell the same comic must not both get its name."""
        with self._naming:
            if wanted != name and (wanted in self._taken or self._is_another(wanted, name, archive)):
                raise BadArchive("name_taken", f"its name would be {wanted}, and there is another archive of that name")
            self._taken.add(wanted)

    def _is_another(self, wanted, name, archive):
        path = self._at(wanted)
        if not os.path.lexists(path) or _same_file(path, self._at(name)):
            return False
        # A run killed between its two steps leaves the new archive beside the old one. Only then may it be replaced:
        # it names the old one as what it was, and holds the very same pages.
        if self._mark(wanted)[1] != name:
            return True
        with Archive(path) as other:
            return other.contents() != archive.contents()

    def _done_before(self, name, operation):
        """A run killed before it could report leaves the archive done under its new name."""
        with self._naming:
            if self._former is None:
                self._former = {was: (new, done) for new in self.names() for done, was in [self._mark(new)] if was}
        new, done = self._former.get(name, (None, set()))
        if not done & {operation, "process"}:
            raise BadArchive("missing", "there is no archive of this name in the folder")
        return {"name": new, "renamed": True, "rewritten": False}

    def _at(self, name):
        return os.path.join(self._path, name)


def _plan(archive, name, operation):
    steps, info, told = STEPS[operation], ComicInfo(archive.comic_info()), parse_name(name)
    if "check" in steps:
        archive.check_pages()
    if "fill" in steps:
        info.fill(told, len(archive.pages))
    parts = {**told, **{field: value for field, value in info.parts().items() if value}}
    new_name = (file_name(parts) if "name" in steps else None) or name
    done, was = info.mark()
    info.set_mark({"process"} if "process" in done | {operation} else done | {operation},
                  name if new_name != name else was)
    return Plan(new_name, len(archive.pages), parts, _if_changed(info, archive.comic_info()))


def _if_changed(info, before):
    after = info.to_bytes()
    return None if before is not None and ComicInfo(before).to_bytes() == after else after


def _same_file(one, other):
    try:
        return os.path.samefile(one, other)
    except FileNotFoundError:
        return False
