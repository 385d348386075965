/** A PCI device as lspci prints it where there is one domain: bus, device, function. */
const WITHOUT_DOMAIN = /^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** A device's name in sysfs, also of what stands without its domain, which is 0000 then. */
export function longForm(device: string): string {
  return WITHOUT_DOMAIN.test(device) ? `0000:${device}` : device;
}
