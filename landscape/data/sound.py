"""Sound and music: waves as samples, piano rolls as frames of keys."""

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from landscape.extras import needed

KEYS = (21, 109)  # the keys of a piano in MIDI's numbers
#: For pickles of pieces, each a list of steps, each a list of keys (Boulanger-Lewandowski, Bengio & Vincent 2012).
CONVERT = (
    "Convert one that you trust: import numpy, pathlib, pickle; "
    "pieces = pickle.loads(pathlib.Path('NAME').read_bytes(), encoding='latin1')"
    "['train']; numpy.savez('rolls.npz', *[numpy.array([[key in step for key in range(21, 109)] for step in piece], "
    "'uint8') for piece in pieces])"
)


def wav(path: Path | str) -> tuple[Float[np.ndarray, "time"], int]:
    """The samples of a wav file with one channel, scaled to [-1, 1], and how many there are in a second.

    8, 16 and 32 bits, whole or floating; read by SciPy. Raises ValueError for others, and for a file cut short.
    """
    import warnings

    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            rate, samples = wavfile.read(path)
    except (ValueError, wavfile.WavFileWarning, EOFError, struct.error) as error:
        raise ValueError(f"{path} cannot be read as wav: {error}") from error
    if samples.ndim != 1:
        raise ValueError(f"{path} has {samples.shape[1]} channels; give one, such as their mean, as a file of its own")
    if not len(samples):
        raise ValueError(f"{path} has no samples; record it again")
    bits = _bits(Path(path))
    if bits == 24:
        raise ValueError(f"{path} has 24 bits a sample; write it with 16 or 32")
    if samples.dtype.kind == "f":
        return samples.astype(np.float32), int(rate)
    middle = 128 if samples.dtype == np.uint8 else 0
    return ((samples.astype(np.float64) - middle) / 2.0 ** (bits - 1)).astype(np.float32), int(rate)


def _bits(path: Path) -> int:
    """Bits a sample as the header of a wav file has them; SciPy hands out 24 of them as 32."""
    with path.open("rb") as file:
        file.seek(12)  # behind RIFF, its size and WAVE
        while (head := file.read(8)) and head[:4] != b"fmt ":
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)  # chunks begin at even places
        return int.from_bytes(file.read(16)[14:], "little")


def rolls(path: Path | str, step: float = 0.25) -> list[Int[np.ndarray, "time key"]]:
    """Piano rolls (time, 88), 1 where a key is held, of the pieces in an npz file or of a MIDI file.

    npz: arrays (time, 88) or (time, 128) of 0 and 1. MIDI: a frame every ``step`` beats (extra ``data``: mido). Raises
    ValueError for arrays of objects and pickles, for other shapes, and for MIDI without a note in range.
    """
    path = Path(path)
    if not step > 0:
        raise ValueError(f"step must be a number of beats above 0, such as 0.25, given {step}")
    if path.suffix.lower() in (".mid", ".midi"):
        return [_midi(path, step)]
    if path.suffix.lower() != ".npz":
        raise ValueError(
            f"{path} is neither npz nor MIDI; a pickle runs code when it is opened and is never read here. {CONVERT}"
        )
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            pieces = {} if isinstance(stored, np.ndarray) else {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read as npz: {error}") from error
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ValueError(f"{path} holds objects, which could run code and are never read here. {CONVERT}") from error
    if not pieces:
        raise ValueError(f"{path} holds no piece; save arrays (time, 88) of 0 and 1 by numpy.savez")
    return [_roll(path, name, array) for name, array in pieces.items()]


def _roll(path: Path, name: str, array: np.ndarray) -> Int[np.ndarray, "time key"]:
    if array.ndim != 2 or array.shape[1] not in (88, 128) or not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} in {path} must be (time, 88) or (time, 128) of 0 and 1, given {array.shape}")
    return array[:, slice(*KEYS) if array.shape[1] == 128 else slice(None)].astype(np.int8)


def _midi(path: Path, step: float) -> Int[np.ndarray, "time key"]:
    mido = needed("mido", "data", "MIDI files are read")
    try:
        file = mido.MidiFile(path)
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as MIDI: {error or 'it is cut short'}") from error
    held: dict[tuple[int, int], int] = {}
    notes: list[tuple[int, int, int]] = []
    now = 0
    for message in mido.merge_tracks(file.tracks):
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            held.setdefault((message.channel, message.note), now)
        elif message.type in ("note_on", "note_off") and (message.channel, message.note) in held:
            notes.append((message.note, held.pop((message.channel, message.note)), now))
    frames = [(note - KEYS[0], since, until) for note, since, until in notes if KEYS[0] <= note < KEYS[1]]
    if not frames:
        raise ValueError(f"{path} has no note between {KEYS[0]} and {KEYS[1] - 1}, the keys of a piano")
    tick = file.ticks_per_beat * step
    roll = np.zeros((max(1, round(max(until for *_, until in frames) / tick)), KEYS[1] - KEYS[0]), np.int8)
    for key, since, until in frames:
        first = min(round(since / tick), len(roll) - 1)
        roll[first : max(first + 1, round(until / tick)), key] = 1  # a note shorter than a frame is still heard
    return roll
