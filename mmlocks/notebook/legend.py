"""What stands around the player's picture: the scenario's story, and what the picture shows."""

from __future__ import annotations

from html import escape

from mmlocks.mm.world import World
from mmlocks.notebook.scheduler import PlayerSession
from mmlocks.show.scene import has_filing, has_tree

ALWAYS = """
<li><b>Yellow boxes</b> are what the last step changed.</li>
<li><b>P3 → F0 rw</b>: the page table says that page 3 is in frame 0 of physical memory, and may be
read and written (<b>ro</b>: only read; a store then faults, and the kernel has to do something
about it).</li>
<li><b>TLB</b>: each CPU's own memory of what the page table said. <b>STALE</b> (striped): the page
table has changed since, and this CPU does not know yet.</li>
<li><b>count</b>: how many references there are to a frame; at 0 it is free.</li>
<li><b>mmap_lock</b>, <b>vm_lock</b>: locks of the whole process and of one VMA (a range of
addresses), with the CPUs that hold them. A VMA is <b>write-locked</b> while its vm_lock_seq equals
its process's mm_lock_seq.</li>
<li><b>program expects</b>: what was stored last, by completed stores. Memory must never say
anything else.</li>"""
FILING = """
<li><b>vm_pgoff</b>: the number of a VMA's first page. <b>anon_vma</b>: where its pages are filed,
each under its own number, its index. So the kernel finds a page that it wants to unmap.
<b>Not linked</b>: the VMA names an anon_vma that does not list the VMA.</li>"""
TREE = """
<li><b>Tree of VMAs</b>: its nodes, each with its ranges between their boundaries. <b>DEAD</b>
(striped): another node has taken its place. <b>FREED</b>: it is gone, and a CPU that uses it
all the same breaks a rule.</li>"""
FILES = """
<li><b>i_mmap</b>: the VMAs in which a file's pages are looked for; <b>i_mmap_rwsem</b> is its
lock.</li>"""
POINTER = """
<li>Let the pointer rest on a field, and it says what protects it.</li>"""


def legend(world: World) -> str:
    """What the picture of this world shows."""
    items = [
        ALWAYS,
        FILING if has_filing(world) else "",
        TREE if has_tree(world) else "",
        FILES if world.files else "",
        POINTER,
    ]
    return (
        '<details style="font-size:13px;line-height:1.5"><summary>What the picture shows</summary>'
        f'<ul style="margin:4px 0">{"".join(items)}</ul></details>'
    )


def story(session: PlayerSession) -> str:
    """The scenario: its title, its kernel, what happens in it."""
    scenario = session.scenario
    remark = f" <i>{escape(scenario.remark)}</i>" if scenario.remark else ""
    title = f'<b style="font-size:15px">{escape(scenario.title)}</b>'
    return (
        f'<div style="line-height:1.5;white-space:normal">{title} ({escape(session.kernel_text)})'
        f"<br>{escape(scenario.story)}{remark}</div>"
    )
