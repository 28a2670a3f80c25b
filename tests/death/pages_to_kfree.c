/* SPDX-License-Identifier: MIT */
/* Pages of alloc_pages() given to kfree(), and kmalloc's to free_pages(). */
#include "death.h"

int main(void)
{
	unsigned long pages = __get_free_pages(GFP_KERNEL, 1);
	char *large = kmalloc(300000, GFP_KERNEL);

	memset((void *)pages, 0x5a, PAGE_SIZE * 2);
	said_begin();
	kfree((void *)pages);
	if (!said("stele: kfree(%p): pages of alloc_pages(); not freed\n", (void *)pages))
		return 1;
	said_begin();
	free_pages((unsigned long)large, 1);
	if (!said("stele: free_pages(%p): not the start of pages that are allocated; not freed\n",
		  (void *)large))
		return 1;
	MUST(((char *)pages)[PAGE_SIZE * 2 - 1] == 0x5a);
	said_begin();
	free_pages(pages, 1);
	kfree(large);
	return !said("%s", "");
}
