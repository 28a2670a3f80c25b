/* SPDX-License-Identifier: MIT */
#include "low.h"
