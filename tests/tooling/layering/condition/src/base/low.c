/* SPDX-License-Identifier: MIT */
int low(void);
static const int numbers[] = {
#if defined(LOW)
	1,
#endif
};
int low(void)
{
#if defined(LOW)
	return numbers[0];
#endif
	return 0;
}
