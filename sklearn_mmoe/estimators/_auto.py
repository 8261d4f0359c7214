"""What 'auto' means: how large batches are, and how many epochs there are."""

from __future__ import annotations

import numpy as np

__all__ = ["auto_batch_size", "auto_epochs"]

# 'auto' trains for this many updates, those of large batches counted as several of
# _UPDATE_ROWS, within these bounds on the epochs.
_AUTO_UPDATES = 800
_UPDATE_ROWS = 256
_AUTO_EPOCHS = (8, 200)
_AUTO_BATCH_SIZE = (16, 1024)


def auto_batch_size(n_samples: int) -> int:
    """Choose a power of two near n_samples / 50, within bounds."""
    power = int(np.log2(max(n_samples / 50, 1)))
    return int(np.clip(2**power, *_AUTO_BATCH_SIZE))


def auto_epochs(n_samples: int, batch_size: int) -> int:
    """Choose as many epochs as make enough updates, within bounds."""
    rows = _AUTO_UPDATES * min(batch_size, _UPDATE_ROWS)
    return int(np.clip(-(-rows // n_samples), *_AUTO_EPOCHS))
