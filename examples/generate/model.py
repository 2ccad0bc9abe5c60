"""A stand-in for a picture model, for machines without a graphics card: it draws a real picture, coarse to fine.

The picture follows from kind, prompt, seed, cfg and the pictures given, and from nothing else: no clock, no chance, no
floating point, so that a rerun on another machine draws the same one. Must never know about jobs or files.
"""

import hashlib

import png

SIDE = 256                  # the longer side of what is drawn, in pixels
COARSEST = 5                # the first step draws blocks of 2^5 pixels
# A quarter sine wave in 64 steps of 1/127, as numbers: what `sin` gives in the last digit differs between machines.
_WAVE = [0, 3, 6, 9, 12, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43, 46, 49, 51, 54, 57, 60, 63, 65, 68, 71, 73, 76, 78, 81,
         83, 85, 88, 90, 92, 94, 96, 98, 100, 102, 104, 106, 107, 109, 111, 112, 113, 115, 116, 117, 118, 120, 121, 122,
         122, 123, 124, 125, 125, 126, 126, 126, 127, 127, 127]


class Model:
    """Loaded once, kept in memory: what mode "session" is for. Loading is quick here; real weights take minutes."""

    def __init__(self, kind):
        self._kind = kind
        self._wave = [_sine(angle) for angle in range(256)]

    def begin(self, args, images):
        """A sampler for these args; `images` are the files of the pictures to start from."""
        return Sampler(self._wave, _style(self._kind, args), args, images)


class Sampler:
    """Draws one picture, or the frames of one series, a step at a time."""

    def __init__(self, wave, style, args, images):
        self.width, self.height = _size(png.size_of(images[0])) if images else (SIDE, SIDE)
        self._wave, self._style, self._steps = wave, style, args["steps"]
        self._palettes = [_palette(wave, style[channel], args["cfg"]) for channel in range(3)]
        decoded = [png.decode(image) for image in images[1:]]
        decoded = ([png.decode(images[0])] if images else []) + decoded
        self._bases = [self._fit(picture) for picture in decoded if picture]

    def step(self, number, frame=0):
        """The picture after step `number` of `steps`: each step halves the blocks that are left."""
        left = self._steps - number
        block = 1 << (COARSEST * left + self._steps - 1) // self._steps
        columns = self._warp(self.width, block, self._style[3:6], 7 * frame)
        lines = self._warp(self.height, block, self._style[6:9], 3 * frame)
        rows = [self._row(columns, line) for line in lines]
        for base in self._bases:
            rows = [bytes((ours + theirs) >> 1 for ours, theirs in zip(row, under)) for row, under in zip(rows, base)]
        return png.Picture(self.width, self.height, rows)

    def _warp(self, length, block, style, shift):
        """A value for each place along one axis: two waves on each other, the same within a block."""
        stretch, depth, phase = 1 + style[0] % 3, 32 + style[1] % 64, style[2] + shift
        places = (place - place % block for place in range(length))
        return bytes((place * stretch + self._wave[(place * 2 + phase) & 255] * depth // 127 + phase) & 255
                     for place in places)

    def _row(self, columns, line):
        row = bytearray(3 * self.width)
        for channel, palette in enumerate(self._palettes):
            row[channel::3] = columns.translate(palette[line:line + 256])
        return bytes(row)

    def _fit(self, picture):
        """A picture's rows at our size; the nearest pixel will do."""
        across = [x * picture.width // self.width for x in range(self.width)]
        rows = []
        for y in range(self.height):
            source, row = picture.rows[y * picture.height // self.height], bytearray(3 * self.width)
            for channel in range(3):
                row[channel::3] = bytes(map(source[channel::3].__getitem__, across))
            rows.append(bytes(row))
        return rows


def _style(kind, args):
    """Twelve numbers that are this picture's look. The prompt may hold anything, so its length goes in front."""
    text = args["prompt"].encode("utf-8", "surrogatepass")
    return hashlib.sha256(f"{kind}:{args['seed']}:{len(text)}:".encode() + text).digest()


def _palette(wave, offset, cfg):
    """256 brightnesses, twice over so that any turn of them is a slice. cfg is how far they go from middle grey."""
    contrast = 64 + int(min(cfg, 20) * 100) * 63 // 2000
    turn = [128 + wave[(value + offset) & 255] * contrast // 127 for value in range(256)]
    return bytes(max(0, min(255, value)) for value in turn) * 2


def _sine(angle):
    """127 × sin of a 256th of a turn."""
    quarter, place = divmod(angle, 64)
    value = _WAVE[place] if quarter % 2 == 0 else (127 if place == 0 else _WAVE[64 - place])
    return value if quarter < 2 else -value


def _size(size):
    """The size of a given picture, brought down (or up) to ours; no side vanishes."""
    longer = max(size)
    return tuple(max(1, side * SIDE // longer) for side in size)
