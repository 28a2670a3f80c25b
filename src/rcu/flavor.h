/* SPDX-License-Identifier: MIT */
/*
 * rcu/flavor.h - what a flavour of liburcu looks like from here
 *
 * Idea      A program hands over the address of its struct rcu_flavor_struct, and that is all this
 *           library knows of liburcu: it links none of it, and is built without its headers. Only
 *           the members named here are used; the order is liburcu's since 0.8, which has added
 *           members at the end only. tests/rcu/layout.c compares with its header.
 */
#ifndef STELE_RCU_FLAVOR_H
#define STELE_RCU_FLAVOR_H

struct rcu_flavor_struct {
	void (*unused_read_lock)(void);
	void (*unused_read_unlock)(void);
	int (*read_ongoing)(void);
	void (*unused_quiescent_state)(void);
	void (*unused_call_rcu)(void);
	void (*update_synchronize_rcu)(void);
	void (*unused_defer_rcu)(void);
	void (*thread_offline)(void);
	void (*thread_online)(void);
};

#endif
