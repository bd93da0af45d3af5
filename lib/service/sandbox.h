/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program that reads what strangers send can do without, taken away for good by a system call filter: running other
 * programs, looking into other processes, changing mounts, namespaces, modules, the kernel's keys. The calls fail with EPERM.
 */
#pragma once
#include <stdbool.h>

/*
 * For the whole process, threads to come included; sets no_new_privs. only_unix: no sockets other than UNIX-domain ones can be
 * made either (those that exist go on). A kernel without filters is no reason to stop: false, and errno.
 */
bool sandbox_enter(bool only_unix);
