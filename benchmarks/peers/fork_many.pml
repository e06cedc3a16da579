/*
 * fork_many(V, N) for SPIN: one process forks, N others store, V VMAs of one page each.
 *
 *   spin -a -DV=2 -DN=3 -DFIX=1 fork_many.pml        FIX=0: Linux 6.4.0, without fb49c455323f
 *
 * One transition here is one `await` there (mmlocks.mm): a `together(...)` is one d_step, a branch on what was read is
 * taken in the step that reads. `skip` is a step that reads what never changes, or changes what nobody else can see; as it
 * is local, SPIN's partial-order reduction takes it for free. With -DNOREDUCE and RCU=1, pan stores exactly as many states
 * as mmlocks without reduction, which is how the two were compared.
 *
 * Left to SPIN's advantage:
 *   - the RCU section is not kept (RCU=1 keeps it): nobody waits for a grace period here, and the counter makes more states;
 *   - the child's VMAs and their tree are not kept: fork alone touches them, and its position implies them;
 *   - a page's words are bits of one byte, so copying and comparing a page is one operation;
 *   - do_anonymous_page, the zero frame and anon_vma_prepare are absent: every page is populated, so nobody comes there.
 *
 * The properties are the same: lost_store (when an entry is set, and at the end), freed_frame, lock_misuse, isolation,
 * stale_translation, references and held_at_end as assertions; deadlock as an invalid end state.
 */

#ifndef TWIN
#define TWIN 0
#endif
#if V < 1 || V > 3 || N < 1 || N > 6
#error "V is 1 to 3 and N is 1 to 6: the lists of initial values below end there"
#endif

#define FREE   0
#define ME     (_pid + 1)                 /* owner of a lock, as in mmlocks: CPU n owns it as n + 1 */
#define BIT    (1 << _pid)                /* this CPU among the readers of a lock */

/* A page-table entry: 0 is none, else a frame and the right to write. */
#define ENTRY(frame, write)  (2 + 2 * (frame) + (write))
#define FRAME(entry)         (((entry) - 2) >> 1)
#define WRITE(entry)         ((entry) & 1)
#define PROTECTED(entry)     ((entry) & 254)

/* Frames 0 to V-1 back the pages at the start; frame V+n-1 is CPU n's to allocate. */
#define FRAMES  (V + N)
#define MINE    (V + _pid - 1)
#define PAGE    ((_pid - 1) % V)          /* writer n stores to VMA n modulo V, ... */
#define WORD    (1 << ((_pid - 1) / V))   /* ... each to a word of its own */
#define POISON  128                       /* what a frame holds that nobody owns */
#define NEVER   255                       /* vm_lock_seq of a VMA that was never write-locked */

byte mmap_writer, mmap_readers;
byte mm_lock_seq;
byte vm_writer[V], vm_readers[V];
byte vm_lock_seq[V] = NEVER;
byte ptl[V];
byte child[V];                            /* the child's page table */
byte truth[V];                            /* what the completed stores say: a bit per word, all words 0 at first */
byte tlb[N + 1] = { 0, 3, 0, 0, 0, 0, 0 }; /* CPU n's translation of the one page that it uses; CPU 1 has stored to it */
byte done;
#if V == 1
byte pte[V] = 3;
byte count[FRAMES] = { 1, 0, 0, 0, 0, 0, 0 };
byte data[FRAMES] = { 0, POISON, POISON, POISON, POISON, POISON, POISON };
#elif V == 2
byte pte[V] = { 3, 5 };                     /* ENTRY(v, 1); only plain numbers may stand in a list */
byte count[FRAMES] = { 1, 1, 0, 0, 0, 0, 0, 0 };
byte data[FRAMES] = { 0, 0, POISON, POISON, POISON, POISON, POISON, POISON };
#else
byte pte[V] = { 3, 5, 7 };
byte count[FRAMES] = { 1, 1, 1, 0, 0, 0, 0, 0, 0 };
byte data[FRAMES] = { 0, 0, 0, POISON, POISON, POISON, POISON, POISON, POISON };
#endif

hidden byte i, j, mapped;                 /* used inside one d_step each: not part of a state */

/* What the oracles say of a final state; part of the last CPU's last step. */
inline judge() {
    if
    :: done == N + 1 ->
        assert(mmap_writer == FREE && mmap_readers == 0);                                      /* held_at_end */
        for (i : 0 .. V - 1) {
            assert(vm_writer[i] == FREE && vm_readers[i] == 0 && ptl[i] == FREE);              /* held_at_end */
            assert(data[FRAME(pte[i])] == truth[i]);                                           /* lost_store */
            assert(FRAME(pte[i]) != FRAME(child[i]) || (!WRITE(pte[i]) && !WRITE(child[i])));  /* isolation */
        }
        for (i : 1 .. N) {                                                                     /* stale_translation */
            assert(!tlb[i] || tlb[i] == pte[(i - 1) % V] || tlb[i] == PROTECTED(pte[(i - 1) % V]));
        }
        for (i : 0 .. FRAMES - 1) {                                                            /* references */
            mapped = 0;
            for (j : 0 .. V - 1) {
                mapped = mapped + (FRAME(pte[j]) == i) + (child[j] && FRAME(child[j]) == i);
            }
            assert(count[i] == mapped);
        }
    :: else
    fi
}

inline unlock_page(v) {
    assert(ptl[v] == ME);
    ptl[v] = FREE
}

inline folio_put(frame) {
    assert(count[frame] > 0);
    count[frame]--;
    if
    :: count[frame] == 0 -> data[frame] = POISON
    :: else
    fi
}

/* One round of dup_mmap's loop. */
inline copy_vma(v) {
#if FIX
    d_step { assert(vm_lock_seq[v] != mm_lock_seq) };         /* vma_start_write: never locked yet */
    d_step { vm_writer[v] == FREE && vm_readers[v] == 0 -> vm_writer[v] = ME };
    d_step { vm_lock_seq[v] = mm_lock_seq; assert(vm_writer[v] == ME); vm_writer[v] = FREE };
#endif
    skip;                                                     /* vm_area_dup */
    skip;                                                     /* copy_page_range: anon_vma, vm_start, vm_end */
    d_step { ptl[v] == FREE -> ptl[v] = ME; entry = pte[v] };
    d_step { count[FRAME(entry)]++; pte[v] = PROTECTED(entry); child[v] = PROTECTED(entry); entry = 0; unlock_page(v) }
}

active proctype forker() {
    byte entry;

    d_step { mmap_writer == FREE && mmap_readers == 0 -> mmap_writer = ME };
    skip;                                                     /* the list of VMAs */
    copy_vma(0);
#if V > 1
    copy_vma(1);
#endif
#if V > 2
    copy_vma(2);
#endif
    d_step { for (i : 0 .. N) { tlb[i] = 0 } };               /* flush_tlb_mm */
    mm_lock_seq++;                                            /* vma_end_write_all */
    d_step { assert(mmap_writer == ME); mmap_writer = FREE; done++; judge() };
end:
    false
}

active [N] proctype writer() {
    byte entry;
    bit slow;
#if TWIN
    byte section, now, counted;
#define RCU_STEP  section++
#define LOOKED    now = pte[PAGE]
#define COUNTED   counted = count[FRAME(entry)]
#define RETURN    entry = 0; now = 0; counted = 0
#else
#define RCU_STEP  skip
#define LOOKED    skip
#define COUNTED   skip
#define RETURN    entry = 0
#endif

again:
    if                                                        /* mmu_store: by the TLB, else by the page table */
    :: d_step {
            WRITE(tlb[_pid]) || WRITE(pte[PAGE]) ->
            if
            :: !tlb[_pid] -> tlb[_pid] = pte[PAGE]
            :: else
            fi;
            assert(count[FRAME(tlb[_pid])] > 0);
            data[FRAME(tlb[_pid])] = data[FRAME(tlb[_pid])] | WORD;
            truth[PAGE] = truth[PAGE] | WORD;
            done++;
            judge()
        };
        goto end
    :: d_step { !WRITE(tlb[_pid]) && !WRITE(pte[PAGE]) -> tlb[_pid] = 0 }
    fi;

    RCU_STEP;                                                 /* lock_vma_under_rcu: section entered, VMA found */
    skip;                                                     /* it has an anon_vma */
    if                                                        /* vma_start_read: first look */
    :: vm_lock_seq[PAGE] == mm_lock_seq -> goto give_up
    :: vm_lock_seq[PAGE] != mm_lock_seq
    fi;
    if                                                        /* trylock, and the look that counts */
    :: vm_writer[PAGE] != FREE -> goto give_up
    :: d_step { vm_writer[PAGE] == FREE && vm_lock_seq[PAGE] == mm_lock_seq -> vm_readers[PAGE] = vm_readers[PAGE] | BIT };
        d_step { vm_readers[PAGE] = vm_readers[PAGE] & ~BIT };
        goto give_up
    :: d_step { vm_writer[PAGE] == FREE && vm_lock_seq[PAGE] != mm_lock_seq -> vm_readers[PAGE] = vm_readers[PAGE] | BIT }
    fi;
    RCU_STEP;                                                 /* range checked, section left */
    goto fault;

give_up:
    RCU_STEP;                                                 /* section left; the slow path */
    d_step { mmap_writer == FREE -> mmap_readers = mmap_readers | BIT; slow = 1 };
    skip;                                                     /* find_vma: the tree's root */
    skip;                                                     /* ... and what that node holds */
    skip;                                                     /* vm_start */

fault:
    if                                                        /* handle_mm_fault */
    :: WRITE(pte[PAGE]) -> goto unlock
    :: d_step { !WRITE(pte[PAGE]) -> entry = pte[PAGE] }
    fi;
    if                                                        /* do_wp_page: lock, entry and count */
    :: d_step { ptl[PAGE] == FREE && pte[PAGE] != entry -> ptl[PAGE] = ME; LOOKED; COUNTED };
        d_step { unlock_page(PAGE); RETURN };
        goto unlock
    :: d_step { ptl[PAGE] == FREE && pte[PAGE] == entry && count[FRAME(entry)] == 1 -> ptl[PAGE] = ME; LOOKED; COUNTED };
        d_step { pte[PAGE] = entry | 1; unlock_page(PAGE); RETURN };
        goto unlock
    :: d_step { ptl[PAGE] == FREE && pte[PAGE] == entry && count[FRAME(entry)] != 1 -> ptl[PAGE] = ME; LOOKED; COUNTED }
    fi;
    d_step { count[FRAME(entry)]++; unlock_page(PAGE) };

    d_step {                                                  /* wp_page_copy: allocate and copy, under no page-table lock */
        assert(count[FRAME(entry)] > 0);
        assert(count[MINE] == 0);
        count[MINE] = 1;
        data[MINE] = data[FRAME(entry)]
    };
    if                                                        /* lock, and look again */
    :: d_step { ptl[PAGE] == FREE && pte[PAGE] != entry -> ptl[PAGE] = ME; LOOKED };
        d_step { unlock_page(PAGE) };
        d_step { folio_put(MINE) };
        d_step { folio_put(FRAME(entry)); RETURN };
        goto unlock
    :: d_step { ptl[PAGE] == FREE && pte[PAGE] == entry -> ptl[PAGE] = ME; LOOKED }
    fi;
    d_step {                                                  /* ptep_clear_flush, set_pte_at */
        for (i : 1 .. N) {
            if
            :: (i - 1) % V == PAGE -> tlb[i] = 0
            :: else
            fi
        }
        pte[PAGE] = ENTRY(MINE, 1);
        assert(data[MINE] == truth[PAGE])                     /* lost_store */
    };
    d_step { folio_put(FRAME(entry)); unlock_page(PAGE) };
    d_step { folio_put(FRAME(entry)); RETURN };

unlock:
    if
    :: d_step { slow -> assert(mmap_readers & BIT); mmap_readers = mmap_readers & ~BIT; slow = 0 }
    :: d_step { !slow -> assert(vm_readers[PAGE] & BIT); vm_readers[PAGE] = vm_readers[PAGE] & ~BIT }
    fi;
    goto again;
end:
    false
}
