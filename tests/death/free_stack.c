/* SPDX-License-Identifier: MIT */
/* A pointer to the stack, before and after the first allocation. */
#include "death.h"

int main(void)
{
	long on_stack = 42;
	void *p;

	said_begin();
	kfree(of_unknown_origin(&on_stack));
	if (!said("stele: kfree(%p): not a pointer of this allocator, or already free; not freed\n",
		  (void *)&on_stack))
		return 1;
	p = kmalloc(100, GFP_KERNEL);
	MUST(p);
	said_begin();
	kfree(of_unknown_origin(&on_stack));
	if (!said("stele: kfree(%p): not a pointer of this allocator, or already free; not freed\n",
		  (void *)&on_stack))
		return 1;
	MUST(on_stack == 42);
	MUST(reports_now() == 2);
	kfree(p);
	return 0;
}
