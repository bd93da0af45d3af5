/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack of a thread that is going to wait for long. */
#pragma once

/*
 * Give back the pages of this thread's stack below the caller's frame: they hold what calls that have returned left behind. Costs
 * two system calls, and a page fault for each page that is used again. Does nothing in the main thread.
 */
void stack_give_back(void);
