"""Error numbers, as Linux counts them (include/uapi/asm-generic/errno-base.h).

Python's errno module has those of the computer that it runs on; a browser has others.
"""

from __future__ import annotations

EPERM, ENOMEM, EACCES, EFAULT, EEXIST, EINVAL = 1, 12, 13, 14, 17, 22
