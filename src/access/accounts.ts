import { readFileSync } from "node:fs";

/** Resolves a name; undefined: there is none. */
export type Accounts = (name: string) => number | undefined;

/** (uid_t)-1 means "no change" to chown(2) and its like, and is nobody's id. */
const LAST_ID = 2 ** 32 - 2;

/** The users of /etc/passwd, or the groups of /etc/group: in both, the name comes first and the id third. */
export function accountsOf(file: "/etc/passwd" | "/etc/group"): Accounts {
  let ids: Map<string, number> | undefined;
  return (name) => {
    const known = ids?.get(name);
    if (known !== undefined) return known;
    // Somebody may have been added since.
    ids = parseAccounts(read(file));
    return ids.get(name);
  };
}

/** Lines of `name:password:id:…`; others are left out, as the C library does. */
export function parseAccounts(text: string): Map<string, number> {
  const ids = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name && id && isId(id) && !ids.has(name)) ids.set(name, Number(id));
  }
  return ids;
}

/** The id that a name or a number stands for; as with chown(1), a name that consists of digits comes first. */
export function resolveAccount(given: string | number, accounts: Accounts): number | undefined {
  const text = String(given);
  return (typeof given === "string" ? accounts(text) : undefined) ?? (isId(text) ? Number(text) : undefined);
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= LAST_ID;
}

/** A system without the file has no names, and its numbers still work. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
