/** What a check comes to. */
export type State = "ok" | "warning" | "failure";

/** One check: what was looked at, what was seen, and what to do when it is not well. */
export interface Finding {
  readonly group: "kernel" | "iommu" | "firmware" | "device" | "daemon" | "memory lock";
  readonly check: string;
  readonly state: State;
  /** What was seen. */
  readonly evidence: string;
  readonly remedy?: string;
}

export const ok = (group: Finding["group"], check: string, evidence: string): Finding => ({
  ...{ group, check, evidence },
  state: "ok",
});

/** What is not well always comes with what to do. */
const withRemedy =
  (state: State) =>
  (group: Finding["group"], check: string, evidence: string, remedy: string): Finding => ({
    ...{ group, check, evidence, remedy },
    state,
  });

export const warning = withRemedy("warning");
export const failure = withRemedy("failure");
