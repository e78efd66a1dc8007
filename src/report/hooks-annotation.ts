import type { z } from 'zod';
import { Hook } from '../api/hook.ts';
import { dnsLabel } from '../api/meta.ts';

/** A hook of the annotation that breaks the rules: told to nobody, but recorded. */
export interface InvalidHook {
  /** A DNS label that no other hook of the list has. */
  readonly name: string;
  /** What is wrong and where, in one line. Holds no value of the hook: a URL may hold a password. */
  readonly message: string;
}

export interface HookList {
  readonly hooks: readonly Hook[];
  readonly invalid: readonly InvalidHook[];
}

/** As many hooks as a list may have. */
const maxHooks = 8;

/**
 * Reads annotation `kelos.dev/on-completion`: a JSON array of hooks, whoever wrote it. One bad hook does not
 * take the others with it; fields that no rule knows are left out. Never throws.
 */
export function parseHooks(annotation: string): HookList {
  let list: unknown;
  try {
    list = JSON.parse(annotation);
  } catch {
    return unreadable('is not JSON');
  }
  if (!Array.isArray(list)) return unreadable('is not a JSON array of hooks');
  const judged = judgeAll(list.slice(0, maxHooks));
  const hooks = judged.filter((each): each is Hook => !('message' in each));
  const taken = new Set(hooks.map(({ name }) => name));
  const invalid = judged.flatMap((each, index): InvalidHook[] =>
    'message' in each ? [{ ...each, name: freeName(each.name, `invalid-${index}`, taken) }] : [],
  );
  if (list.length > maxHooks) {
    const name = freeName(undefined, 'invalid', taken);
    invalid.push(invalidHook(`has ${list.length} hooks, at most ${maxHooks} are told: the first ones`, name));
  }
  return { hooks, invalid };
}

function unreadable(what: string): HookList {
  return { hooks: [], invalid: [invalidHook(`${what}; write the hooks of spec.onCompletion as JSON`)] };
}

function invalidHook(what: string, name = 'invalid'): InvalidHook {
  return { name, message: `annotation kelos.dev/on-completion ${what}` };
}

/** A hook that breaks the rules, under its own name if that can be one. */
interface Misshapen {
  readonly name: string | undefined;
  readonly message: string;
}

function judgeAll(items: readonly unknown[]): readonly (Hook | Misshapen)[] {
  const taken = new Set<string>();
  return items.map((item, index) => {
    const parsed = Hook.safeParse(item);
    const fault = parsed.success ? hookFault(parsed.data, taken) : faultOf(parsed.error);
    if (parsed.success && fault === undefined) {
      taken.add(parsed.data.name);
      return parsed.data;
    }
    const where = `annotation kelos.dev/on-completion[${index}]`;
    return { name: nameOf(item), message: `${where}${fault ?? ''}` };
  });
}

/** The rules that reach over several fields; in the CRD they are CEL. */
function hookFault(hook: Hook, taken: ReadonlySet<string>): string | undefined {
  const { url, urlFrom, format, routingKey, contentType, template } = hook.webhook;
  if (taken.has(hook.name)) return '.name: another hook has this name; names must be unique';
  if (url !== undefined && urlFrom !== undefined) return '.webhook: url and urlFrom exclude each other';
  if (url === undefined && urlFrom === undefined && format !== 'pagerduty')
    return '.webhook: one of url and urlFrom is required';
  if (routingKey !== undefined && format !== 'pagerduty')
    return '.webhook.routingKey: goes with format: pagerduty';
  if (contentType !== undefined && template === undefined) return '.webhook.contentType: goes with template';
  return undefined;
}

function faultOf(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return ': is not a hook';
  const path = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  if (path === '.webhook.url') return `${path}: must be an https URL without user or password`;
  return `${path}: ${issue.message}`;
}

/** The name it has, when it can be one. */
function nameOf(item: unknown): string | undefined {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined;
  return typeof name === 'string' && name.length <= 63 && dnsLabel.test(name) ? name : undefined;
}

/** The name, or else one made up, that no other hook of the list has; it is taken then. */
function freeName(name: string | undefined, madeUp: string, taken: Set<string>): string {
  let free = name === undefined || taken.has(name) ? madeUp : name;
  for (let count = 2; taken.has(free); count += 1) free = `${madeUp}-${count}`;
  taken.add(free);
  return free;
}
