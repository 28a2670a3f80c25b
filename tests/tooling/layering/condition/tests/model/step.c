/* SPDX-License-Identifier: MIT */
int step(void);
int step(void)
{
#ifdef BROKEN_LOW
	return 1;
#else
	return 0;
#endif
}
