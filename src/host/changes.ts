import type { RangeSet } from "../ranges/range-set.ts";

/**
 * Something that has changed on the host, by the daemon's hand or not, under the name that clients know it by.
 * `milliseconds` is how long the change took in the kernel.
 */
export type Change =
  | { readonly event: "CONTEXT_CREATED" | "CONTEXT_DESTROYED"; readonly context: string }
  | { readonly event: "IOAS_CREATED" | "IOAS_DESTROYED"; readonly context: string; readonly ioas: number }
  | {
      readonly event: "DEVICE_HELD" | "DEVICE_RELEASED";
      readonly device: string;
      readonly context: string;
      readonly milliseconds: number;
    }
  | {
      readonly event: "DEVICE_ATTACHED" | "DEVICE_DETACHED";
      readonly device: string;
      readonly context: string;
      readonly ioas: number;
      readonly milliseconds: number;
    }
  /** With a release of this form, a device that was handed over is found to be back. */
  | {
      readonly event: "DEVICE_HANDED_OVER" | "DEVICE_RELEASED";
      readonly device: string;
      readonly context: string;
    }
  | { readonly event: "CONTEXT_HANDED_OVER"; readonly context: string }
  | { readonly event: "DEVICE_ADDED" | "DEVICE_REMOVED"; readonly device: string }
  | { readonly event: "DEVICE_PROBED"; readonly device: string; readonly milliseconds: number }
  | {
      readonly event: "ALLOWED_RANGES_CHANGED";
      readonly context: string;
      readonly ioas: number;
      readonly generation: number;
      readonly ranges: RangeSet;
      readonly gained: RangeSet;
      readonly lost: RangeSet;
      readonly cause: { readonly event: string; readonly device: string };
    }
  /** Which devices there are could not be read; it will be tried again. */
  | { readonly event: "LOOK_FAILED"; readonly errno: string }
  | {
      /** The kernel's answer differs from what all sources predict: one of them is wrong, and it is not the kernel. */
      readonly event: "PREDICTION_MISSED";
      readonly context: string;
      readonly ioas: number;
      readonly predicted: RangeSet;
      readonly actual: RangeSet;
    };

/** Told of every change, in order, before the request that caused it is answered. */
export type Observer = (change: Change) => void;
