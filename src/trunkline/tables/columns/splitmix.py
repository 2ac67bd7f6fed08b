"""SplitMix64: a mixer of 64 bits."""

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)


def splitmix(bits: np.ndarray) -> np.ndarray:
    """SplitMix64's output for each state, written over the `[N]` uint64 that are given.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), figure 17, with Vigna's constants.
    """
    bits += _STEP
    bits ^= bits >> _30
    bits *= _FIRST
    bits ^= bits >> _27
    bits *= _SECOND
    bits ^= bits >> _31
    return bits
