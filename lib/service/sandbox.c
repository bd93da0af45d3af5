/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/service/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Little-endian only: the filter looks at the low half of an argument. */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCH AUDIT_ARCH_PPC64LE
#endif

enum { X32_BIT = 0x40000000 };

static const uint16_t denied[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_setns,
	SYS_unshare,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_bpf,
	SYS_userfaultfd,
	SYS_perf_event_open,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_swapon,
	SYS_swapoff,
	SYS_reboot,
	SYS_personality,
	SYS_name_to_handle_at,
	SYS_open_by_handle_at,
	SYS_io_uring_setup, /* what is asked for through it passes this filter by */
};

enum { NDENIED = sizeof denied / sizeof *denied, MAX_STEPS = 2 * NDENIED + 16 };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define UNLESS_EQUAL_SKIP(value, steps) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (steps))

#if defined(__SANITIZE_ADDRESS__) ||                                                                                   \
    defined(__SANITIZE_THREAD__) /* the leak checker looks into its process by ptrace */
#undef ARCH
#endif

bool sandbox_enter(bool only_unix)
{
#ifdef ARCH
	struct sock_filter steps[MAX_STEPS];
	struct sock_fprog program = { .filter = steps };
	unsigned short n = 0;

	/* Numbers mean something else to another architecture's entry into the kernel. */
	steps[n++] = (struct sock_filter)LOAD(arch);
	steps[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	steps[n++] = (struct sock_filter)REFUSE;
	steps[n++] = (struct sock_filter)LOAD(nr);
#ifdef __x86_64__
	steps[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	steps[n++] = (struct sock_filter)REFUSE;
#endif
	for (unsigned i = 0; i < NDENIED; i++) {
		steps[n++] = (struct sock_filter)UNLESS_EQUAL_SKIP(denied[i], 1);
		steps[n++] = (struct sock_filter)REFUSE;
	}
#ifdef SYS_socket
	if (only_unix) {
		steps[n++] = (struct sock_filter)UNLESS_EQUAL_SKIP(SYS_socket, 3);
		steps[n++] = (struct sock_filter)LOAD(args[0]);
		steps[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0);
		steps[n++] = (struct sock_filter)REFUSE;
	}
#endif
	steps[n++] = (struct sock_filter)ALLOW;
	program.len = n;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
	(void)only_unix;
	errno = ENOSYS;
	return false;
#endif
}
