import * as z from "zod";
import { invalidParams, quote, unknownMember } from "./errors.ts";
import { expectation, REQUIRED } from "./expectation.ts";
import { keepRight, lastRight } from "./last-params.ts";
import type { ParamsType } from "./method.ts";
import type { TimeSlice } from "./time-slice.ts";

/** How many faults one message lists: nothing is looked at after them. */
const FAULT_LIMIT = 3;

type Path = readonly (string | number)[];

/** `ranges[2].start: expected an address`, up to FAULT_LIMIT of them. */
class Faults {
  readonly list: string[] = [];

  get areEnough(): boolean {
    return this.list.length >= FAULT_LIMIT;
  }

  add(path: Path, message: string): void {
    if (this.areEnough) return;
    this.list.push(path.length === 0 ? message : `${memberPath(path)}: ${message}`);
  }
}

/**
 * Params by name, checked and decoded; absent ones are an empty object. A promise only of params that may be large: their
 * lists are measured before they are walked, walked element by element while others get their turns, and left at the
 * first faults.
 * @throws JSONRPCErrorException -32602 that names the members at fault and what was expected of them
 */
export function parseParams<Params extends ParamsType>(
  schema: Params,
  params: unknown,
  slice: TimeSlice,
): z.output<Params> | Promise<z.output<Params>> {
  const given = params ?? {};
  if (!isObject(given)) throw invalidParams("expected an object: params are given by name");
  const known = lastRight(schema, given);
  if (known) return known as z.output<Params>;
  const faults = new Faults();
  refuseUnknown(schema, given, [], faults);
  refuseIfAny(faults);
  if (hasLists(schema)) return parseLarge(schema, given, slice);
  const parsed = parseLeaf(schema, given, [], faults);
  refuseIfAny(faults);
  keepRight(schema, given, parsed as object);
  return parsed as z.output<Params>;
}

async function parseLarge<Params extends ParamsType>(schema: Params, given: object, slice: TimeSlice) {
  const faults = new Faults();
  const parsed = await parseWhole(schema, given, [], faults, slice);
  refuseIfAny(faults);
  return parsed as z.output<Params>;
}

function refuseIfAny({ list }: Faults): void {
  if (list.length > 0) throw invalidParams(list.join("; "));
}

/** What holds a list is taken apart here; everything else is zod's. Undefined when it is at fault. */
async function parseWhole(
  type: z.core.$ZodType,
  value: unknown,
  path: Path,
  faults: Faults,
  slice: TimeSlice,
): Promise<unknown> {
  const inner = withoutWrapping(type, value);
  if (!inner || !hasLists(inner)) return parseLeaf(type, value, path, faults);
  if (inner instanceof z.ZodArray) return parseList(inner, value, path, faults, slice);
  if (!(inner instanceof z.ZodObject) || !isObject(value)) return parseLeaf(inner, value, path, faults);
  const parsed: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(inner.shape)) {
    if (faults.areEnough) return undefined;
    const made = await parseWhole(member, value[name], [...path, name], faults, slice);
    if (made !== undefined) parsed[name] = made;
  }
  // Last: a version that is not known says more than the members that came with it.
  refuseUnknown(inner, value, path, faults);
  return parsed;
}

async function parseList(
  type: z.ZodArray,
  value: unknown,
  path: Path,
  faults: Faults,
  slice: TimeSlice,
): Promise<unknown> {
  if (!Array.isArray(value)) {
    return void faults.add(path, value === undefined ? REQUIRED : "expected an array");
  }
  const fault = lengthFault(type, value.length);
  if (fault !== undefined) return void faults.add(path, fault);
  const { element } = type;
  const isLarge = hasLists(element);
  const parsed: unknown[] = [];
  for (const [index, each] of value.entries()) {
    if (faults.areEnough) return undefined;
    if (slice.isOver) await slice.pass();
    const at = [...path, index];
    parsed.push(
      isLarge ? await parseWhole(element, each, at, faults, slice) : parseLeaf(element, each, at, faults),
    );
  }
  return parsed;
}

/** What is wrong with a list of so many elements. One without a maximum takes none: a fault of ours, and seen at once. */
function lengthFault(type: z.ZodArray, length: number): string | undefined {
  let isBounded = false;
  for (const check of type.def.checks ?? []) {
    const def = check._zod.def as z.core.$ZodCheckMaxLengthDef | z.core.$ZodCheckMinLengthDef;
    const isMost = def.check === "max_length";
    isBounded ||= isMost;
    const bound = def.check === "max_length" ? def.maximum : def.minimum;
    if (isMost ? length <= bound : length >= bound) continue;
    const wording = def.error?.({} as never);
    return typeof wording === "string"
      ? wording
      : `expected at ${isMost ? "most" : "least"} ${bound} elements`;
  }
  return isBounded || length === 0 ? undefined : "takes no elements";
}

/** By zod, at once: only what is small, since a list in it would be walked to its end. */
function parseLeaf(type: z.core.$ZodType, value: unknown, path: Path, faults: Faults): unknown {
  const parsed = z.safeParse(type, value);
  if (parsed.success) return parsed.data;
  // Our own wording only for what has failed: it makes every parse ten times as dear.
  const { error } = z.safeParse(type, value, { error: expectation });
  for (const issue of error?.issues ?? []) faults.add([...path, ...(issue.path as Path)], issue.message);
  return undefined;
}

/** Members that the schema does not know, however many there are. */
function refuseUnknown({ shape }: z.ZodObject, value: object, path: Path, faults: Faults): void {
  for (const name in value) {
    if (faults.areEnough) return;
    if (!Object.hasOwn(shape, name)) {
      faults.add(path, unknownMember(name, Object.keys(shape)));
    }
  }
}

/** The type inside optional, nullable and default, for a value that is there; else undefined. */
function withoutWrapping(type: z.core.$ZodType, value: unknown): z.core.$ZodType | undefined {
  let inner = type;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable || inner instanceof z.ZodDefault) {
    if (value === undefined || value === null) return undefined;
    inner = inner.def.innerType;
  }
  return inner;
}

const knownToHaveLists = new WeakMap<z.core.$ZodType, boolean>();

/** Whether an array stands anywhere in the type, where {@link parseWhole} comes by. */
function hasLists(type: z.core.$ZodType): boolean {
  const known = knownToHaveLists.get(type);
  if (known !== undefined) return known;
  let found = false;
  if (type instanceof z.ZodOptional || type instanceof z.ZodNullable || type instanceof z.ZodDefault) {
    found = hasLists(type.def.innerType);
  } else if (type instanceof z.ZodArray) found = true;
  else if (type instanceof z.ZodObject) found = Object.values(type.shape).some(hasLists);
  knownToHaveLists.set(type, found);
  return found;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `ranges[2].start`. Names that are not the schema's own come from the client. */
function memberPath(path: Path): string {
  return path
    .map((key, depth) => {
      if (typeof key === "number") return `[${key}]`;
      const plain = /^[\w-]{1,64}$/.test(key) ? key : quote(key);
      return depth === 0 ? plain : `.${plain}`;
    })
    .join("");
}
