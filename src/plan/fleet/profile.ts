import type { RangeSet } from "../../ranges/range-set.ts";

/** The version of the form in which a host describes itself (`schema-version`). */
export const PROFILE_VERSION = 1 as const;

/** What a host's profile says of one device. */
export interface ProfileDevice {
  readonly device: string;
  /** PCI ids, as lspci prints them: four hexadecimal digits after 0x. */
  readonly pci: { readonly vendor: string; readonly device: string } | null;
  /** Nothing lasting keeps it from guests. */
  readonly assignable: boolean;
  /** Nothing at all does, now. */
  readonly available: boolean;
  readonly exact: boolean;
  /** What it alone allows. */
  readonly allowed: RangeSet;
}

/** What a host tells of itself (`query-host-profile`): hosts that are alike have one in common. */
export interface Profile {
  readonly digest: string;
  /** What all assignable devices together allow. */
  readonly allowed: RangeSet;
  readonly alignment: bigint | null;
  readonly exact: boolean;
  /** What would make it exact, in the host's own words. */
  readonly hint?: string | undefined;
  readonly devices: readonly ProfileDevice[];
}
