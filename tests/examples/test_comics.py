"""The comics worker over real archives, whole and broken ones, killed and run again."""

import contextlib
import fcntl
import importlib
import io
import os
import random
import shutil
import signal
import sys
import threading
import unittest
import unittest.mock
import xml.etree.ElementTree as ElementTree
import zipfile

from support import EXAMPLES, Case, job_frame

WORKER = [EXAMPLES / "comics" / "worker.py"]
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(100)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(100)


def write_archive(path, members=None, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (members or {"01.jpg": JPEG, "02.png": PNG, "03.webp": WEBP}).items():
            archive.writestr(name, data)


def read_info(path):
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("ComicInfo.xml"))
    return {element.tag: element.text for element in root}


def pages_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "ComicInfo.xml"}


class ComicsCase(Case):
    def setUp(self):
        super().setUp()
        self.folder = self.directory / "comics"
        self.folder.mkdir()

    def run_comics(self, items=(), checkpoint=None, counts=None, **args):
        frame = job_frame("comics", {"folder": str(self.folder), **args}, items, checkpoint, counts=counts)
        return self.run_job(WORKER, frame)

    def names(self):
        return sorted(os.listdir(self.folder))

    def error_of(self, members=None, data=None, name="Broken 1.cbz"):
        """The error of the item of one broken archive, which must be left as it was."""
        path = self.folder / name
        if data is None:
            write_archive(path, members)
        else:
            path.write_bytes(data)
        before = path.read_bytes()
        run = self.run_comics()
        self.assertEqual(run.status, 0, run.stderr)
        item = run.items()[name]
        self.assertEqual(item["state"], "failed")
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(self.names(), [name])
        return item["error"]


class Operations(ComicsCase):
    def test_process_checks_pages_fills_metadata_renames_and_marks(self):
        write_archive(self.folder / "saga_#12 - The Will (2013) [scan].cbz")
        run = self.run_comics()
        self.assertEqual(run.status, 0, run.stderr)
        self.assertEqual(self.names(), ["saga 012 - The Will (2013).cbz"])
        info = read_info(self.folder / self.names()[0])
        expected = {"Series": "saga", "Number": "12", "Title": "The Will", "Year": "2013", "PageCount": "3"}
        self.assertEqual({field: info[field] for field in expected}, expected)
        self.assertEqual(info["Notes"], "Daybook did: process; was: saga_#12 - The Will (2013) [scan].cbz")
        self.assertEqual(pages_of(self.folder / self.names()[0]), {"01.jpg": JPEG, "02.png": PNG, "03.webp": WEBP})

    def test_the_list_comes_before_the_first_item_and_progress_counts_to_the_end(self):
        for number in range(6):
            write_archive(self.folder / f"Saga {number}.cbz")
        run = self.run_comics()
        order = [frame["type"] for frame in run.frames if frame["type"] != "progress"]
        self.assertEqual(order, ["add_items", "checkpoint"] + ["item"] * 6)
        counted = [(p["done"], p["total"]) for p in run.of_type("progress") if "done" in p]
        self.assertEqual(counted, [(n, 6) for n in range(1, 7)])
        self.assertEqual(run.of_type("progress")[-1]["percent"], 100)
        self.assertEqual((run.result["completed"], run.result["failed"]), (6, 0))

    def test_normalize_keeps_the_name_and_rename_keeps_the_metadata(self):
        write_archive(self.folder / "saga_1.cbz")
        self.run_comics(operation="normalize")
        self.assertEqual(self.names(), ["saga_1.cbz"])
        self.assertEqual(read_info(self.folder / "saga_1.cbz")["Number"], "1")
        write_archive(self.folder / "lazarus_2.cbz")
        self.run_comics(operation="rename")
        self.assertEqual(self.names(), ["lazarus 002.cbz", "saga 001.cbz"])
        self.assertEqual(list(read_info(self.folder / "lazarus 002.cbz")), ["Notes"])
        notes = read_info(self.folder / "saga 001.cbz")["Notes"]
        self.assertEqual(notes, "Daybook did: normalize rename; was: saga_1.cbz")

    def test_what_a_person_wrote_into_comic_info_stays(self):
        info = ("<?xml version='1.0'?><ComicInfo><!-- mine --><Series>Sága &amp; Co</Series><Number>7.5</Number>"
                "<Notes>read twice</Notes><Penciller>F. Staples</Penciller></ComicInfo>").encode()
        write_archive(self.folder / "wrong name 3.cbz", {"a/1.jpg": JPEG, "ComicInfo.xml": info})
        self.run_comics()
        self.assertEqual(self.names(), ["Sága & Co 007.5.cbz"])
        path = self.folder / "Sága & Co 007.5.cbz"
        found = read_info(path)
        self.assertEqual(found["Penciller"], "F. Staples")
        self.assertTrue(found["Notes"].startswith("read twice\nDaybook did: process"))
        with zipfile.ZipFile(path) as archive:
            self.assertIn(b"<!-- mine -->", archive.read("ComicInfo.xml"))

    def test_unicode_names_of_files_and_members_pass_through(self):
        write_archive(self.folder / "進撃の巨人 #3 – 始まり.cbz", {"頁/１.jpg": JPEG, "é.png": PNG})
        run = self.run_comics()
        self.assertEqual(self.names(), ["進撃の巨人 003 - 始まり.cbz"], run.stderr)
        self.assertEqual(set(pages_of(self.folder / self.names()[0])), {"頁/１.jpg", "é.png"})

    def test_what_is_no_archive_of_the_folder_is_not_touched(self):
        (self.folder / "inner").mkdir()
        write_archive(self.folder / "inner" / "Saga 1.cbz")
        os.symlink(self.folder / "inner" / "Saga 1.cbz", self.folder / "link.cbz")
        (self.folder / "notes.txt").write_text("mine")
        run = self.run_comics()
        self.assertEqual(run.of_type("item"), [])
        self.assertEqual(run.result["completed"], 0)

    def test_a_folder_that_is_not_there_fails_the_attempt_with_a_clear_error(self):
        shutil.rmtree(self.folder)
        run = self.run_comics()
        self.assertEqual(run.status, 1)
        self.assertIn("no_folder", run.stderr)
        self.assertIn("No such file or directory", run.stderr)


class Selection(ComicsCase):
    def test_a_second_run_touches_only_what_is_unmarked(self):
        for number in (1, 2):
            write_archive(self.folder / f"Saga {number}.cbz")
        self.run_comics()
        before = {name: os.stat(self.folder / name) for name in self.names()}
        write_archive(self.folder / "Saga 3.cbz")
        run = self.run_comics()
        self.assertEqual(list(run.items()), ["Saga 3.cbz"])
        for name, stat in before.items():
            now = os.stat(self.folder / name)
            self.assertEqual((now.st_ino, now.st_mtime_ns), (stat.st_ino, stat.st_mtime_ns))

    def test_all_takes_the_marked_ones_too_but_rewrites_nothing_that_is_right(self):
        write_archive(self.folder / "Saga 1.cbz")
        self.run_comics()
        before = os.stat(self.folder / "Saga 001.cbz")
        run = self.run_comics(select="all")
        self.assertEqual(run.items()["Saga 001.cbz"]["result"]["rewritten"], False)
        self.assertEqual(os.stat(self.folder / "Saga 001.cbz").st_ino, before.st_ino)

    def test_selected_takes_the_named_ones_and_says_which_are_missing_or_outside(self):
        for number in (1, 2):
            write_archive(self.folder / f"Saga {number}.cbz")
        write_archive(self.directory / "outside.cbz")
        run = self.run_comics(select="selected", files=["Saga 2.cbz", "Saga 9.cbz", "../outside.cbz"])
        states = {key: item["error"]["code"] if item["error"] else item["state"] for key, item in run.items().items()}
        self.assertEqual(states, {"Saga 2.cbz": "completed", "Saga 9.cbz": "missing", "../outside.cbz": "bad_name"})
        self.assertEqual(self.names(), ["Saga 002.cbz", "Saga 1.cbz"])

    def test_marks_are_kept_for_each_operation(self):
        write_archive(self.folder / "Saga 1.cbz")
        self.run_comics(operation="normalize")
        self.assertEqual(len(self.run_comics(operation="normalize").items()), 0)
        self.assertEqual(len(self.run_comics(operation="process").items()), 1)
        self.assertEqual(len(self.run_comics(operation="rename").items()), 0)


class Damage(ComicsCase):
    def test_an_empty_file_a_cut_one_and_another_format_are_told_apart(self):
        whole = io.BytesIO()
        write_archive(whole)
        self.assertEqual(self.error_of(data=b"")["code"], "empty_file")
        self.assertEqual(self.error_of(data=whole.getvalue()[:-60])["code"], "truncated")
        self.assertEqual(self.error_of(data=b"Rar!\x1a\x07 and so on")["code"], "not_a_zip")

    def test_a_corrupt_member_is_named(self):
        whole = io.BytesIO()
        write_archive(whole)
        data = bytearray(whole.getvalue())
        data[data.index(PNG) + 50] ^= 1
        error = self.error_of(data=bytes(data))
        self.assertEqual(error["code"], "bad_zip")
        self.assertIn("02.png", error["message"])

    def test_a_page_that_is_no_picture_is_named(self):
        error = self.error_of({"01.jpg": JPEG, "02.jpg": b"<html>404</html>"})
        self.assertEqual((error["code"], "02.jpg" in error["message"]), ("bad_page", True))

    def test_an_archive_without_pages_says_so(self):
        self.assertEqual(self.error_of({"readme.txt": b"", "__MACOSX/._01.jpg": JPEG})["code"], "no_pages")

    def test_bad_comic_info_is_never_overwritten(self):
        for bad in (b"<ComicInfo><Series>", b"not xml", b"<Other/>", b"<!DOCTYPE a><ComicInfo/>", b"\xff\xfe\x00"):
            with self.subTest(bad):
                error = self.error_of({"01.jpg": JPEG, "ComicInfo.xml": bad})
                self.assertEqual(error["code"], "bad_comic_info")

    def test_random_damage_fails_the_item_or_leaves_a_whole_archive(self):
        chance, whole = random.Random(7), io.BytesIO()
        write_archive(whole, compression=zipfile.ZIP_DEFLATED)
        for number in range(60):
            data = bytearray(whole.getvalue())
            for _ in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            (self.folder / f"Saga {number}.cbz").write_bytes(data)
        run = self.run_comics()
        self.assertEqual((run.status, len(run.items())), (0, 60), run.stderr)
        for item in run.items().values():
            if item["state"] == "completed":
                with zipfile.ZipFile(self.folder / item["result"]["name"]) as archive:
                    self.assertIsNone(archive.testzip())

    def test_one_broken_archive_fails_its_item_and_not_the_job(self):
        write_archive(self.folder / "Saga 1.cbz")
        (self.folder / "Saga 2.cbz").write_bytes(b"PK\x03\x04 cut")
        run = self.run_comics()
        self.assertEqual(run.status, 0)
        self.assertEqual((run.result["completed"], run.result["failed"]), (1, 1))
        self.assertEqual(run.log, ["failed: Saga 2.cbz: " + run.items()["Saga 2.cbz"]["error"]["message"]])

    def test_two_archives_of_one_name_do_not_overwrite_each_other(self):
        write_archive(self.folder / "Saga 1.cbz", {"1.jpg": JPEG})
        write_archive(self.folder / "saga_#1.cbz", {"1.jpg": JPEG + b"other"})
        write_archive(self.folder / "Saga #1.cbz", {"1.jpg": JPEG + b"third"})
        run = self.run_comics()
        taken = [key for key, item in run.items().items() if item["error"] and item["error"]["code"] == "name_taken"]
        self.assertEqual(len(taken), 1)
        self.assertEqual(self.names(), sorted(["Saga 001.cbz", "saga 001.cbz", taken[0]]))


class FourAtATime(ComicsCase):
    """The worker's own code, with archives that take as long as the test wants."""

    def test_four_archives_are_in_hand_at_once_and_never_more(self):
        for number in range(8):
            write_archive(self.folder / f"Saga {number}.cbz")
        context = the_worker()
        worker = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        in_hand, most, lock = 0, 0, threading.Lock()
        four = threading.Barrier(4)         # none ends before there are four

        def one(*_):
            nonlocal in_hand, most
            with lock:
                in_hand += 1
                most = max(most, in_hand)
            four.wait(timeout=60)
            with lock:
                in_hand -= 1
            return "completed", None, None

        worker._one = one
        job = unittest.mock.Mock(args={"folder": str(self.folder), "operation": "process", "select": "all"},
                                 row={}, checkpoint=None)
        job.pending_keys.return_value = []
        self.assertEqual(worker.handle(job)["completed"], 8)
        self.assertEqual(most, 4)


@contextlib.contextmanager
def the_worker():
    """The worker as a module; what it does to this process is undone."""
    paths, modules, on_sigterm = list(sys.path), set(sys.modules), signal.getsignal(signal.SIGTERM)
    sys.path.insert(0, str(WORKER[0].parent))
    try:
        yield importlib.import_module("worker")
    finally:
        sys.path[:] = paths
        signal.signal(signal.SIGTERM, on_sigterm)
        for name in set(sys.modules) - modules:
            del sys.modules[name]


class KilledAndRunAgain(ComicsCase):
    def kill_after(self, items_seen):
        """Play the server: take the list, kill -9 after so many items, and tell which keys nobody reported."""
        child = self.start(*WORKER)
        child.send(job_frame("comics", {"folder": str(self.folder)}))
        lines = child.until("checkpoint")
        for _ in range(items_seen):
            lines += child.until("item")
        os.killpg(child.process.pid, signal.SIGKILL)
        lines += child.finish().frames
        listed = [item["key"] for line in lines if line["type"] == "add_items" for item in line["items"]]
        reported = {line["key"] for line in lines if line["type"] == "item"}
        return [key for key in listed if key not in reported], len(reported)

    def test_a_kill_leaves_whole_archives_and_a_rerun_does_the_rest(self):
        chance = random.Random(1)
        contents = {}
        for number in range(8):
            contents[number] = {"1.jpg": JPEG + chance.randbytes(700_000)}
            write_archive(self.folder / f"saga_{number}.cbz", contents[number], zipfile.ZIP_DEFLATED)
        pending, done = [], 0
        for items_seen in (0, 2):
            pending, done = self.kill_after(items_seen)
            for name in self.names():
                if name.endswith(".cbz"):
                    with zipfile.ZipFile(self.folder / name) as archive:
                        self.assertIsNone(archive.testzip())
        counts = {"total": len(pending) + done, "completed": done, "failed": 0, "skipped": 0, "pending": len(pending)}
        run = self.run_comics(items=pending, checkpoint={"listed": 8}, counts=counts)
        self.assertEqual(sorted(run.items()), sorted(pending))
        self.assertEqual({item["state"] for item in run.items().values()} - {"completed"}, set(), run.items())
        self.assertEqual((run.result["completed"], run.of_type("add_items")), (len(pending) + done, []))
        self.assertEqual(self.names(), [f"saga {number:03}.cbz" for number in range(8)])
        for number in range(8):
            self.assertEqual(pages_of(self.folder / f"saga {number:03}.cbz"), contents[number])

    def test_a_kill_between_the_new_name_and_the_end_of_the_old_one_is_mended(self):
        write_archive(self.folder / "saga_1.cbz")
        old = (self.folder / "saga_1.cbz").read_bytes()
        self.run_comics()
        (self.folder / "saga_1.cbz").write_bytes(old)
        (self.folder / ".daybook-comics-left-over.tmp").write_bytes(b"half")
        run = self.run_comics(items=["saga_1.cbz"], checkpoint={"listed": 1})
        self.assertEqual(run.items()["saga_1.cbz"]["state"], "completed")
        self.assertEqual(self.names(), ["saga 001.cbz"])

    def test_another_comic_under_the_old_name_is_not_taken_for_the_same(self):
        write_archive(self.folder / "saga_1.cbz")
        self.run_comics()
        write_archive(self.folder / "saga_1.cbz", {"1.jpg": JPEG + b"new"})
        run = self.run_comics()
        self.assertEqual(run.items()["saga_1.cbz"]["error"]["code"], "name_taken")
        self.assertEqual(self.names(), ["saga 001.cbz", "saga_1.cbz"])

    def test_an_item_done_but_not_reported_is_found_under_its_new_name(self):
        write_archive(self.folder / "saga_1.cbz")
        self.run_comics()
        run = self.run_comics(items=["saga_1.cbz"], checkpoint={"listed": 1})
        self.assertEqual(run.items()["saga_1.cbz"]["result"]["name"], "saga 001.cbz")

    def test_more_than_a_thousand_pending_items_are_asked_for(self):
        keys = [f"gone {number}.cbz" for number in range(1203)]
        self.server.pending = keys
        run = self.run_comics(items=keys[:1000], checkpoint={"listed": 1203})
        self.assertEqual(sorted(run.items()), sorted(keys))
        self.assertTrue(all(query["state"] == "pending" for _, _, query in self.server.requests))

    def test_sigterm_finishes_the_files_in_hand_and_begins_no_more(self):
        for number in range(30):
            write_archive(self.folder / f"saga_{number}.cbz", {"1.jpg": JPEG + bytes(300_000)}, zipfile.ZIP_DEFLATED)
        child = self.start(*WORKER)
        child.send(job_frame("comics", {"folder": str(self.folder)}))
        first = child.until("item")[-1:]
        child.process.send_signal(signal.SIGTERM)
        run = child.finish()
        reported = {frame["key"] for frame in first + run.of_type("item")}
        self.assertEqual(run.status, 128 + signal.SIGTERM if len(reported) < 30 else 0)
        self.assertEqual(sum(" " in name for name in self.names()), len(reported))
        self.assertEqual(len(self.names()), 30)

    def test_two_jobs_on_one_folder_follow_each_other(self):
        write_archive(self.folder / "Saga 1.cbz")
        handle = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        child = self.start(*WORKER)
        child.send(job_frame("comics", {"folder": str(self.folder)}))
        self.assertEqual(child.next()["stage"], "waiting for the folder")
        self.assertEqual(self.names(), ["Saga 1.cbz"])
        os.close(handle)
        self.assertEqual(child.finish().result["completed"], 1)


if __name__ == "__main__":
    unittest.main()
