"""Huge pages: a hint to the operating system that a large tensor is read at random places."""

import ctypes
import sys

from torch import Tensor

PAGE = 2 << 20
"""Bytes of a large page."""
MADV_HUGEPAGE = 14


def hint_huge_pages(tensor: Tensor) -> Tensor:
    """The same tensor; where the system can, its memory will come in pages of 2 MiB.

    Rows of a long table lie far apart: with pages of 4 KiB nearly every one of them misses the processor's page cache.
    It works on memory that nothing was written to yet, and is no more than a hint: elsewhere than on Linux, on another
    device, or where the system does not know large pages, nothing happens.
    """
    size = tensor.numel() * tensor.element_size()
    if tensor.device.type == "cpu" and sys.platform == "linux" and size >= 4 * PAGE:
        first = -(-tensor.data_ptr() // PAGE) * PAGE
        last = (tensor.data_ptr() + size) // PAGE * PAGE
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), MADV_HUGEPAGE)
    return tensor
