/* SPDX-License-Identifier: MIT */
static int start(void)
{
	return 0;
}
