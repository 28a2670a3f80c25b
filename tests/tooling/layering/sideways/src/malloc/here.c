/* SPDX-License-Identifier: MIT */
#  include "tools/there.h"
