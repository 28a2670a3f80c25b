/* SPDX-License-Identifier: MIT */
/* Pages given back with another order than they were taken with. */
#include "death.h"

int main(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 3);
	char *p = page_address(page);

	memset(p, 0x5a, PAGE_SIZE << 3);
	said_begin();
	__free_pages(page, 2);
	if (!said("stele: __free_pages(%p): allocated with another size; not freed\n", (void *)p))
		return 1;
	said_begin();
	__free_pages(page, MAX_PAGE_ORDER + 1);
	if (!said("stele: __free_pages(%p): order too large; not freed\n", (void *)p))
		return 1;
	for (size_t i = 0; i < PAGE_SIZE << 3; i += 512)
		MUST(p[i] == 0x5a);
	said_begin();
	__free_pages(page, 3);
	return !said("%s", "");
}
