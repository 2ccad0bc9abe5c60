"""The picture workers in both modes: what they draw, what they tell meanwhile, and how they take being told to stop."""

import base64
import os
import signal
import struct
import unittest
import zlib

from support import EXAMPLES, TOKEN, Case, job_frame

GENERATE = EXAMPLES / "generate" / "generate.py"
I2V = [GENERATE, "i2v", "command"]


def read_png(data):
    """(width, height, pixels) of a PNG as our encoder writes it, checking every checksum on the way."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        length, = struct.unpack(">I", data[at:at + 4])
        kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[0][1][:10])
    assert (depth, colour) == (8, 2)
    raw = zlib.decompress(chunks[1][1])
    rows = [raw[start:start + 3 * width + 1] for start in range(0, len(raw), 3 * width + 1)]
    assert len(rows) == height and all(len(row) == 3 * width + 1 and row[0] == 0 for row in rows)
    return width, height, b"".join(row[1:] for row in rows)


def write_png(width, height, colour, rows, palette=b""):
    """A PNG of any colour type from rows that are filtered already: what other programs send us."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    middle = chunk(b"PLTE", palette) if palette else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + chunk(b"IDAT", zlib.compress(b"".join(rows)))
            + chunk(b"IEND", b""))


def text_of(picture):
    return base64.b64encode(picture).decode()


JPEG = (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(10) + b"\xff\xff\xc2\x00\x11\x08" + struct.pack(">HH", 300, 600)
        + bytes(20))


class CommandMode(Case):
    def draw(self, **args):
        """One i2v job: (its run, the picture it left)."""
        run = self.run_job(I2V, job_frame("i2v", {"prompt": "a lighthouse", **args}))
        self.assertEqual(run.status, 0, run.stderr)
        return run, (self.directory / "output" / "i2v.png").read_bytes()

    def failure(self, **args):
        run = self.run_job(I2V, job_frame("i2v", {"prompt": "p", **args}))
        self.assertEqual((run.status, os.listdir(self.directory / "output")), (1, []))
        return run.stderr

    def test_a_picture_is_left_in_the_output_directory_and_told_in_the_result(self):
        run, data = self.draw(seed=5)
        self.assertEqual(read_png(data)[:2], (256, 256))
        self.assertEqual(run.result, {"files": ["i2v.png"], "width": 256, "height": 256, "seed": 5, "steps": 8,
                                      "cfg": 1.0})

    def test_each_step_is_told_with_percent_stage_and_a_preview_that_is_a_picture(self):
        run, data = self.draw(steps=5)
        told = run.of_type("progress")
        self.assertEqual([p["percent"] for p in told], [20, 40, 60, 80, 100])
        self.assertEqual({p["stage"] for p in told}, {"sampling"})
        previews = [base64.b64decode(p["preview"].split(",")[1]) for p in told]
        self.assertEqual([read_png(preview)[:2] for preview in previews], [(256, 256)] * 5)
        self.assertEqual(previews[-1], data)
        self.assertEqual(len(set(previews)), 5)

    def test_the_same_prompt_and_seed_draw_the_same_picture_and_others_another(self):
        first = self.draw(seed=1)[1]
        self.assertEqual(self.draw(seed=1, steps=2)[1], first)
        for other in ({"seed": 2}, {"seed": 1, "prompt": "a light house"}, {"seed": 1, "cfg": 9}):
            self.assertNotEqual(self.draw(**other)[1], first)

    def test_the_limits_of_steps_and_cfg_are_drawn(self):
        for args in ({"steps": 1, "cfg": 0.1}, {"steps": 100, "cfg": 20}, {"prompt": "é" * 500}):
            run, data = self.draw(**args)
            self.assertEqual(len(run.of_type("progress")), args.get("steps", 8))
            self.assertEqual(read_png(data)[:2], (256, 256))

    def test_an_image_gives_its_shape_and_shines_through(self):
        black = write_png(40, 20, 2, [b"\0" + bytes(120)] * 20)
        white = write_png(40, 20, 2, [b"\0" + b"\xff" * 120] * 20)
        dark, bright = (read_png(self.draw(image=text_of(image))[1]) for image in (black, white))
        self.assertEqual(dark[:2], (256, 128))
        self.assertLessEqual(max(dark[2]), 127)
        self.assertGreaterEqual(min(bright[2]), 127)

    def test_a_jpeg_gives_its_shape(self):
        self.assertEqual(read_png(self.draw(images=[text_of(JPEG)])[1])[:2], (256, 128))

    def test_what_is_no_picture_fails_with_a_clear_error(self):
        self.assertIn("bad_image: an image is neither a PNG nor a JPEG", self.failure(image=text_of(b"GIF89a")))
        self.assertIn("bad_image: an image is not base64", self.failure(images=["****"]))
        broken = bytearray(write_png(4, 4, 2, [bytes(13)] * 4))
        broken[45] ^= 1
        self.assertIn("damaged PNG", self.failure(image=text_of(bytes(broken))))
        short = write_png(4, 4, 2, [bytes(13)] * 3)
        self.assertIn("ends too early", self.failure(image=text_of(short)))
        huge = write_png(4_000_000_000, 1, 2, [b""])
        self.assertIn("claims a size", self.failure(image=text_of(huge)))


class Decoding(unittest.TestCase):
    """Pictures of other programs, with filters and palettes, against pixels worked out by hand."""

    def setUp(self):
        import sys
        sys.path.insert(0, str(EXAMPLES / "generate"))
        self.addCleanup(sys.path.remove, str(EXAMPLES / "generate"))
        import png
        self.png = png

    def rows(self, *args):
        return [bytes(row) for row in self.png.decode(write_png(*args)).rows]

    def test_every_filter_is_undone(self):
        wanted = [bytes([10, 20, 30, 40, 50, 60])] * 5
        filtered = [
            b"\0" + wanted[0],                               # none
            b"\1" + bytes([10, 20, 30, 30, 30, 30]),         # left
            b"\2" + bytes(6),                                # up
            b"\3" + bytes([5, 10, 15, 15, 15, 15]),          # mean of left and up
            b"\4" + bytes(6),                                # Paeth: up is the nearest each time
        ]
        self.assertEqual(self.rows(2, 5, 2, filtered), wanted)

    def test_grey_alpha_and_palettes_become_red_green_blue(self):
        self.assertEqual(self.rows(2, 1, 0, [b"\0\x05\x09"]), [b"\5\5\5\x09\x09\x09"])
        self.assertEqual(self.rows(1, 1, 4, [b"\0\x05\x80"]), [b"\5\5\5"])
        self.assertEqual(self.rows(1, 1, 6, [b"\0\1\2\3\x80"]), [b"\1\2\3"])
        self.assertEqual(self.rows(2, 1, 3, [b"\0\1\0"], b"abcdef"), [b"defabc"])

    def test_a_colour_outside_the_palette_is_damage(self):
        with self.assertRaises(self.png.BadPicture):
            self.rows(1, 1, 3, [b"\0\7"], b"abc")

    def test_what_was_encoded_is_decoded(self):
        picture = self.png.Picture(2, 2, [bytes(range(6)), bytes(range(6, 12))])
        self.assertEqual([bytes(row) for row in self.png.decode(self.png.encode(picture)).rows], picture.rows)


class SessionMode(Case):
    def session(self, kind="qwen", step_s="0"):
        child = self.start(GENERATE, kind, "session", GENERATE_STEP_S=step_s)
        self.assertEqual(child.next()["type"], "hello")
        self.assertEqual(child.next(), {"type": "ready", "slots": 1})
        child.send({"type": "welcome", "session": "s", "epoch": "e", "lease_s": 30, "ping_s": 10})
        return child

    def test_a_job_uploads_its_picture_and_completes_and_the_session_takes_the_next(self):
        child = self.session()
        for number in range(2):
            child.send(job_frame("qwen", {"prompt": "p", "seed": number}))
            frames = child.until("complete")
            self.assertEqual({(f["job_id"], f["token"]) for f in frames}, {(frames[-1]["job_id"], TOKEN)})
            self.assertEqual([f["percent"] for f in frames if f["type"] == "progress"], [25, 50, 75, 100])
            self.assertEqual(read_png(self.server.files["qwen.png"])[:2], (256, 256))
            self.assertEqual(frames[-1]["result"]["files"], ["qwen.png"])

    def test_a_series_saves_a_checkpoint_after_each_frame_and_goes_on_from_it(self):
        child = self.session("svi")
        child.send(job_frame("svi", {"prompt": "p", "frames": 3, "steps": 2}))
        frames = child.until("complete")
        self.assertEqual([f["data"] for f in frames if f["type"] == "checkpoint"], [{"frames": n} for n in (1, 2, 3)])
        whole = dict(self.server.files)
        self.assertEqual(sorted(whole), ["frame-0001.png", "frame-0002.png", "frame-0003.png"])
        self.assertEqual(len(set(whole.values())), 3)
        self.server.files.clear()
        child.send(job_frame("svi", {"prompt": "p", "frames": 3, "steps": 2}, checkpoint={"frames": 2}))
        result = child.until("complete")[-1]["result"]
        self.assertEqual(self.server.files, {"frame-0003.png": whole["frame-0003.png"]})
        self.assertEqual(result["files"], sorted(whole))

    def test_ping_is_answered_while_a_job_runs(self):
        child = self.session(step_s="3600")
        child.send([{"type": "new in a later version"}, job_frame("qwen", {"prompt": "p"})])
        child.until("log")
        child.send({"type": "ping"})
        self.assertEqual(child.next(), {"type": "pong"})

    def test_a_cancelled_job_is_given_back_at_once_and_the_session_lives_on(self):
        for with_sigterm in (False, True):
            child = self.session(step_s="3600")
            child.send(job_frame("qwen", {"prompt": "p"}))
            job_id = child.until("log")[-1]["job_id"]
            if with_sigterm:
                child.process.send_signal(signal.SIGTERM)
            child.send({"type": "cancel", "job_id": job_id, "reason": "requested", "grace_s": 10})
            self.assertEqual(child.next(), {"type": "release", "job_id": job_id, "token": TOKEN})
            if not with_sigterm:
                child.send({"type": "ping"})
                self.assertEqual(child.next(), {"type": "pong"})

    def test_a_lost_job_is_dropped_without_another_word(self):
        child = self.session(step_s="3600")
        child.send(job_frame("qwen", {"prompt": "p"}))
        child.send({"type": "lost", "job_id": child.until("log")[-1]["job_id"]})
        child.send({"type": "ping"})
        self.assertEqual(child.next(), {"type": "pong"})

    def test_quiet_asks_for_no_more_and_terminate_gives_the_job_back_and_leaves(self):
        child = self.session(step_s="3600")
        child.send(job_frame("qwen", {"prompt": "p"}))
        child.until("log")
        child.send({"type": "quiet"})
        self.assertEqual(child.next(), {"type": "ready", "slots": 0})
        child.send({"type": "terminate"})
        self.assertEqual(child.next()["type"], "release")
        self.assertEqual(child.finish().status, 0)

    def test_an_idle_session_leaves_on_sigterm_and_at_the_end_of_its_input(self):
        for by_signal in (True, False):
            child = self.session()
            if by_signal:
                child.process.send_signal(signal.SIGTERM)
            else:
                child.process.stdin.close()
            self.assertEqual(child.finish().status, 0)

    def test_a_shutdown_gives_the_job_back_and_ends_the_session(self):
        child = self.session(step_s="3600")
        child.send(job_frame("qwen", {"prompt": "p"}))
        job_id = child.until("log")[-1]["job_id"]
        child.process.send_signal(signal.SIGTERM)
        child.send({"type": "cancel", "job_id": job_id, "reason": "shutdown", "grace_s": 10})
        self.assertEqual(child.next()["type"], "release")
        self.assertEqual(child.finish().status, 0)

    def test_a_bad_image_fails_the_job_for_good_and_a_refused_upload_for_now(self):
        child = self.session()
        child.send(job_frame("qwen", {"prompt": "p", "image": "AAAA"}))
        error = child.until("fail")[-1]["error"]
        self.assertEqual((error["code"], error["retryable"]), ("bad_image", False))
        child.send(job_frame("qwen", {"prompt": "p"}, token="another"))
        error = child.until("fail")[-1]["error"]
        self.assertEqual((error["code"], error["retryable"]), ("server_refused", True))

    def test_a_lease_lost_at_the_upload_ends_the_job_and_not_the_session(self):
        child = self.session()
        self.server.lease_lost = True
        child.send(job_frame("qwen", {"prompt": "p"}))
        self.assertEqual(child.until("release")[-1]["type"], "release")
        child.send({"type": "ping"})
        self.assertEqual(child.next(), {"type": "pong"})

    def test_a_bug_in_a_handler_is_reported_and_the_session_lives_on(self):
        child = self.session()
        frame = job_frame("qwen", {"prompt": "p"})
        del frame["job"]["args"]["seed"]
        child.send(frame)
        self.assertEqual(child.until("fail")[-1]["error"]["code"], "worker_error")
        child.send({"type": "ping"})
        self.assertEqual(child.next(), {"type": "pong"})


if __name__ == "__main__":
    unittest.main()
