/*
 * A second reader of an IOAS, independent of the daemon's code: takes a copy of another process's iommufd and asks
 * IOMMU_IOAS_IOVA_RANGES. Usage: ranges-reader PID FD IOAS. Prints the alignment, then "start last" a line, all hex.
 * The struct is spelt out because older distributions ship no linux/iommufd.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)

struct range {
	uint64_t start, last;
};

struct iova_ranges {
	uint32_t size, ioas_id, num_iovas, reserved;
	uint64_t allowed_iovas, out_iova_alignment;
};

int main(int argc, char **argv)
{
	static struct range ranges[4096];
	struct iova_ranges cmd = { .size = sizeof(cmd), .num_iovas = 4096, .allowed_iovas = (uintptr_t)ranges };
	int pidfd, fd;

	if (argc != 4)
		return 2;
	pidfd = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	fd = syscall(SYS_pidfd_getfd, pidfd, atoi(argv[2]), 0);
	cmd.ioas_id = atoi(argv[3]);
	if (fd < 0 || ioctl(fd, IOMMU_IOAS_IOVA_RANGES, &cmd)) {
		fprintf(stderr, "ranges-reader: %s\n", strerror(errno));
		return 1;
	}
	printf("0x%" PRIx64 "\n", cmd.out_iova_alignment);
	for (uint32_t i = 0; i < cmd.num_iovas; i++)
		printf("0x%" PRIx64 " 0x%" PRIx64 "\n", ranges[i].start, ranges[i].last);
	return 0;
}
