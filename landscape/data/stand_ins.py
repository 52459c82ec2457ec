"""Stand-ins for music and sound that cannot be downloaded: chorales in four voices, plucked strings. Plain NumPy.

What a network scores on them is not comparable to any published number.
"""

import numpy as np
from jaxtyping import Float, Int

from landscape.data.sound import KEYS

SCALE = np.array([0, 2, 4, 5, 7, 9, 11])  # semitones of the degrees of a major scale
#: The triads that may follow one, by degree from 0: the tonic is left freely, the dominant and its like resolve.
FOLLOWS = {0: (1, 3, 4, 5), 1: (4, 6), 2: (3, 5), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3), 6: (0,)}
HELD, HOW_OFTEN = (1, 2, 4), (0.25, 0.5, 0.25)  # steps that a chord lasts
VOICES: tuple[int, ...] = (48, 55, 62, 69)  # where bass, tenor, alto and soprano are at home, in MIDI's numbers
PERIOD = (20, 61)  # samples of a period of a string, at least, and below
DAMPED, NOISE, PLUCKS = 0.996, 0.01, 3


def chorales(pieces: int, steps: int, seed: int = 0) -> Int[np.ndarray, "piece time key"]:
    """Piano rolls (piece, time, 88) of four voices, 1 where a key is held: a stand-in for collections of chorales.

    Triads of a major scale on a random tonic follow each other as a Markov chain (`FOLLOWS`), and are held for 1, 2 or
    4 steps. Each voice, from the bass up, moves to the tone of the chord that is nearest, above the voice below, drawn
    back a little to where it is at home. Raises ValueError for less than one piece or step.
    """
    _enough(pieces, steps)
    rng, made = np.random.default_rng(seed), np.zeros((pieces, steps, KEYS[1] - KEYS[0]), np.int8)
    for piece in made:
        tonic, degree, step, voices = int(rng.integers(12)), 0, 0, VOICES
        while step < steps:
            voices, held = _led(tonic, degree, voices), int(rng.choice(HELD, p=HOW_OFTEN))
            piece[step : step + held, np.array(voices) - KEYS[0]] = 1
            step, degree = step + held, int(rng.choice(FOLLOWS[degree]))
    return made


def _led(tonic: int, degree: int, voices: tuple[int, ...]) -> tuple[int, ...]:
    """Four different keys, from below, of the triad on a degree: each voice's nearest above the one below."""
    tones, led = {(tonic + SCALE[(degree + k) % 7]) % 12 for k in (0, 2, 4)}, [KEYS[0]]
    for voice, home in zip(voices, VOICES, strict=True):
        above = [key for key in range(led[-1] + 1, KEYS[1]) if key % 12 in tones]
        led.append(min(above, key=lambda key: abs(key - voice) + abs(key - home) / 2))
    return tuple(led[1:])


def plucked(waves: int, samples: int, seed: int = 0) -> Float[np.ndarray, "wave time"]:
    """Waves (wave, time) of mean square 1: strings, each plucked three times, a stand-in for recorded sound.

    ``y_n = e_n + .996 (y_(n-N) + y_(n-N-1)) / 2`` with a period N of 20 to 60 samples of its own, and e a burst of N
    uniform samples at every pluck, the first at the beginning (Karplus & Strong 1983); with recorded noise of
    deviation .01. Who knows the last N + 1 samples foretells all but the bursts. Raises ValueError for less than one
    wave or sample.
    """
    from scipy.signal import lfilter

    _enough(waves, samples)
    rng, made = np.random.default_rng(seed), []
    for _ in range(waves):
        period = int(rng.integers(*PERIOD))
        excited = np.zeros(samples + period)
        for onset in (0, *rng.integers(samples, size=PLUCKS - 1)):
            excited[onset : onset + period] += rng.uniform(-1, 1, period)
        string = lfilter([1.0], [1.0, *[0.0] * (period - 1), -DAMPED / 2, -DAMPED / 2], excited)[:samples]
        made.append(string / np.sqrt(np.mean(string**2)) + NOISE * rng.standard_normal(samples))
    return np.array(made, np.float32)


def _enough(count: int, steps: int) -> None:
    if count < 1 or steps < 1:
        raise ValueError(f"ask for 1 piece or more, of 1 step or more, given {count} and {steps}")
