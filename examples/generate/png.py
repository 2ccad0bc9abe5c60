"""Read and write PNG pictures, and read the size of a JPEG, with nothing but zlib.

Must never trust a picture: sizes are checked before memory is taken, and every fault is a BadPicture.
"""

import struct
import zlib
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDE_MAX = 32_768
PIXELS_DECODED_MAX = 1_000_000      # pure Python takes about a second for so many
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}      # of each PNG colour type
# The JPEG markers that begin a frame, and so tell its size: C0 to CF but for the tables C4, C8 and CC.
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class BadPicture(Exception):
    """These bytes are no picture that we can use; the message is for people."""


@dataclass(frozen=True)
class Picture:
    """8 bits a channel, red green blue, rows from the top."""

    width: int
    height: int
    rows: list


def encode(picture):
    """A PNG file: no filter, no interlace, so that a dozen lines can read it again."""
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in picture.rows), 6)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def size_of(data):
    """(width, height) of a PNG or JPEG, read from its header."""
    if data.startswith(SIGNATURE):
        if len(data) < 33 or data[12:16] != b"IHDR":
            raise BadPicture("is a PNG without a header")
        size = struct.unpack(">II", data[16:24])
    elif data.startswith(b"\xff\xd8\xff"):
        size = _jpeg_size(data)
    else:
        raise BadPicture("is neither a PNG nor a JPEG")
    if not all(1 <= side <= SIDE_MAX for side in size):
        raise BadPicture(f"claims a size of {size[0]} × {size[1]}")
    return size


def _jpeg_size(data):
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2:at + 4])[0]
        if marker == 0xFF:      # a fill byte before the marker
            at += 1
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        else:
            at += 2 + length
    raise BadPicture("is a JPEG without a frame header")


def decode(data):
    """The pixels of a PNG of 8 bits a channel without interlace; None for any other picture, which is no fault."""
    width, height = size_of(data)
    if not data.startswith(SIGNATURE) or width * height > PIXELS_DECODED_MAX:
        return None
    depth, colour, _, _, interlace = data[24:29]
    if depth != 8 or interlace or colour not in CHANNELS:
        return None
    chunks = _chunks(data)
    channels = CHANNELS[colour]
    raw = _inflate(b"".join(body for kind, body in chunks if kind == b"IDAT"), (width * channels + 1) * height)
    palette = next((body for kind, body in chunks if kind == b"PLTE"), b"")
    rows = [_to_rgb(row, colour, palette) for row in _unfilter(raw, width * channels, channels)]
    return Picture(width, height, rows)


def _chunks(data):
    found, at = [], len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body, check = data[at + 8:at + 8 + length], data[at + 8 + length:at + 12 + length]
        if len(check) < 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + body):
            raise BadPicture(f"is a damaged PNG (chunk {kind.decode('latin-1')})")
        found.append((kind, body))
        at += 12 + length
    return found


def _inflate(packed, size):
    try:
        raw = zlib.decompressobj().decompress(packed, size)
    except zlib.error as error:
        raise BadPicture(f"is a damaged PNG ({error})") from error
    if len(raw) < size:
        raise BadPicture("is a PNG that ends too early")
    return raw


def _unfilter(raw, width, step):
    """Undo the filter of each row (PNG specification, §9): a byte is stored as its difference from its neighbours."""
    above = bytes(width)
    for start in range(0, len(raw), width + 1):
        row = bytearray(raw[start + 1:start + 1 + width])
        _unfilter_row(raw[start], row, above, step)
        yield row
        above = row


def _unfilter_row(kind, row, above, step):
    if kind > 4:
        raise BadPicture("is a damaged PNG (unknown filter)")
    if kind == 0:
        return
    for i in range(len(row)):
        left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
        up = above[i]
        guess = (0, left, up, (left + up) >> 1)[kind] if kind < 4 else _paeth(left, up, corner)
        row[i] = (row[i] + guess) & 255


def _paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def _to_rgb(row, colour, palette):
    if colour == 2:
        return row
    if colour == 3:
        return b"".join(_colour(palette, index) for index in row)
    out = bytearray(3 * (len(row) // CHANNELS[colour]))
    for channel in range(3):
        source = channel if colour == 6 else 0      # grey is the same in all three
        out[channel::3] = row[source::CHANNELS[colour]]
    return out


def _colour(palette, index):
    colour = palette[3 * index:3 * index + 3]
    if len(colour) < 3:
        raise BadPicture(f"is a damaged PNG (no colour {index} in its palette)")
    return colour
