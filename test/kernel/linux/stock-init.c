/*
 * Process 1 of a stock kernel's initrd: loads the modules that a distribution's own would, in this order, and goes on
 * in the host's root over 9p with the program that `lab_init=` on the kernel's command line names.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const modules[] = {
	"netfs", "9pnet", "9pnet_virtio", "9p", "irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci",
};

static void must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

int main(void)
{
	const char *init = getenv("lab_init");
	char path[64];

	for (unsigned int i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
		snprintf(path, sizeof(path), "/%s.ko", modules[i]);
		must(syscall(SYS_finit_module, open(path, O_RDONLY), "", 0), path);
	}
	must(mkdir("/host", 0755), "mkdir");
	must(mount("root", "/host", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose"), "root");
	must(mount("dev", "/host/dev", "devtmpfs", 0, NULL), "dev");
	must(chdir("/host"), "chdir");
	must(mount(".", "/", NULL, MS_MOVE, NULL), "move");
	must(chroot("."), "chroot");
	must(init ? execl(init, init, NULL) : -1, "lab_init");
}
