/* SPDX-License-Identifier: MIT */
/* Pages of their own, freed twice. */
#include "death.h"

int main(void)
{
	char *kept = kmalloc(300000, GFP_KERNEL), *p = kmalloc(300000, GFP_KERNEL);

	kept[299999] = 7;
	kfree(p);
	said_begin();
	kfree(of_unknown_origin(p));
	if (!said("stele: kfree(%p): not a pointer of this allocator, or already free; not freed\n",
		  (void *)p))
		return 1;
	MUST(reports_now() == 1);
	MUST(kept[299999] == 7);
	kfree(kept);
	return 0;
}
