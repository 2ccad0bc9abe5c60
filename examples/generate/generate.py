"""Kinds `i2v`, `qwen` and `svi`: draw with a model, telling each step, and leave the pictures as the job's files.

    generate.py i2v session     serves jobs of kind i2v until it is told to go; the model stays loaded
    generate.py i2v command     does the one job on standard input

Must never report a picture as done before the server has its file.
"""

import base64
import binascii
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import png                                              # noqa: E402
from daybook_worker import JobFailed, run_command, run_session  # noqa: E402
from model import Model                                 # noqa: E402

PREVIEW_BYTES_MAX = 512 * 1024      # of the data: URL; the server takes no larger one
# Drawing is so quick that nobody could watch it. A step takes at least so long; daybook.toml sets it.
STEP_S = float(os.environ.get("GENERATE_STEP_S", 0))


def draw_one(model, job):
    """Kinds i2v and qwen: one picture."""
    sampler = _begin(model, job)
    name = f"{job.kind}.png"
    _draw(sampler, job, name, Steps(job, frames=1))
    return {"files": [name], **_facts(sampler, job)}


def draw_series(model, job):
    """Kind svi: frame after frame. Each is safe with the server before the next begins: a rerun goes on from there."""
    sampler, frames = _begin(model, job), job.args["frames"]
    names = [f"frame-{number + 1:04}.png" for number in range(frames)]
    steps = Steps(job, frames)
    for number in range((job.checkpoint or {}).get("frames", 0), frames):
        _draw(sampler, job, names[number], steps, number)
        job.save_checkpoint({"frames": number + 1})
    return {"files": names, **_facts(sampler, job)}


def _begin(model, job):
    images = _images(job.args)
    try:
        sampler = model.begin(job.args, images)
    except png.BadPicture as fault:
        raise JobFailed("bad_image", f"an image {fault}", retryable=False) from fault
    job.log(f"drawing {sampler.width} × {sampler.height} from {len(images)} images, seed {job.args['seed']}")
    return sampler


def _images(args):
    """The files of the pictures given, `image` before `images`."""
    texts = [args["image"]] if args.get("image") else []
    try:
        return [base64.b64decode(text, validate=True) for text in texts + (args.get("images") or [])]
    except (binascii.Error, ValueError) as error:
        raise JobFailed("bad_image", f"an image is not base64: {error}", retryable=False) from error


def _draw(sampler, job, name, steps, frame=0):
    for number in range(1, job.args["steps"] + 1):
        job.pause(STEP_S)
        data = png.encode(sampler.step(number, frame))
        steps.report(frame, number, data)
    job.put_file(name, data, "image/png")
    job.log(f"{name}: {len(data)} bytes")


class Steps:
    """Turns steps and frames into progress that a person can follow."""

    def __init__(self, job, frames):
        self._job, self._frames, self._steps = job, frames, job.args["steps"]

    def report(self, frame, number, data):
        done, total = frame * self._steps + number, self._frames * self._steps
        stage = "sampling" if self._frames == 1 else f"frame {frame + 1} of {self._frames}"
        preview = "data:image/png;base64," + base64.b64encode(data).decode()
        shown = {"preview": preview} if len(preview) <= PREVIEW_BYTES_MAX else {}
        self._job.progress(percent=100 * done // total, stage=stage, message=f"step {number} of {self._steps}",
                           done=done, total=total, **shown)


def _facts(sampler, job):
    return {"width": sampler.width, "height": sampler.height,
            **{name: job.args[name] for name in ("seed", "steps", "cfg")}}


def main(kind, mode):
    if mode == "session":
        model = Model(kind)
        run_session(lambda job: _handler(kind)(model, job), name=f"{kind} stand-in")
    else:
        run_command(lambda job: _handler(kind)(Model(kind), job))


def _handler(kind):
    return draw_series if kind == "svi" else draw_one


if __name__ == "__main__":
    main(*sys.argv[1:])
