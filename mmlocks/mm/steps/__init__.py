"""The machine room: what each step does at once, and which cells it touches.

Kernel text makes steps by functions such as `set_pte_at` and `mas_read`, whose docstrings say what
a step means. Read these files to see how: each registers its steps with `operation`. A step that
only one file beside the evening's needs (reclaim, speculative) stands in that file.
"""

import mmlocks.mm.steps.frames
import mmlocks.mm.steps.maple
import mmlocks.mm.steps.pagecache
import mmlocks.mm.steps.pagetable
import mmlocks.mm.steps.rmap
import mmlocks.mm.steps.tlb
import mmlocks.mm.steps.vma  # noqa: F401  importing a file registers its steps
