/* SPDX-License-Identifier: MIT */
int number(void);
int number(void)
{
	int n = 0;

#ifdef LOW
	n++;
#endif
	return n;
}
