/* SPDX-License-Identifier: MIT */
/*
 * linux/rcupdate.h - for source written against the kernel: liburcu's readers and grace periods
 *
 * Idea      rcu_read_lock(), rcu_dereference(), rcu_assign_pointer(), call_rcu(), rcu_barrier() and
 *           synchronize_rcu() are liburcu's, of the flavour whose header was included before, or
 *           else of <urcu.h>; kfree_rcu() and kin are those of <stele/rcu.h>. Below are the
 *           kernel's names that neither has.
 * Unlike    the kernel: a thread that reads says rcu_register_thread() first (not with bp);
 *           conditions given to rcu_dereference_check() and kin are not evaluated; rcu_read_lock()
 *           holds back neither preemption nor signals.
 * Link      liburcu's own: `-lurcu`, or what the flavour needs.
 */
#ifndef STELE_KERNEL_LINUX_RCUPDATE_H
#define STELE_KERNEL_LINUX_RCUPDATE_H

#ifndef rcu_flavor
#include <urcu.h>
#endif

#include <stele/rcu.h>

#ifndef __rcu
#define __rcu
#endif

/* A pointer's value, not to be followed. */
#ifndef rcu_access_pointer
#define rcu_access_pointer(p) CMM_LOAD_SHARED(p)
#endif

/* For a caller that knows why the pointer cannot go away. */
#ifndef rcu_dereference_raw
#define rcu_dereference_raw(p) rcu_dereference(p)
#endif
#ifndef rcu_dereference_check
#define rcu_dereference_check(p, condition) rcu_dereference(p)
#endif
#ifndef rcu_dereference_protected
#define rcu_dereference_protected(p, condition) (p)
#endif

/* Before another thread can see it, or to make it NULL: nothing has to be ordered. */
#ifndef RCU_INIT_POINTER
#define RCU_INIT_POINTER(p, value) CMM_STORE_SHARED(p, value)
#endif

/* For the one that may change it; the old pointer comes back. */
#ifndef rcu_replace_pointer
#define rcu_replace_pointer(p, value, condition) rcu_xchg_pointer(&(p), value)
#endif

#ifndef rcu_read_lock_held
#define rcu_read_lock_held() rcu_read_ongoing()
#endif

#endif
