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
  const taken = new Set<string>();
  const hooks: Hook[] = [];
  const invalid: InvalidHook[] = [];
  for (const [index, item] of list.slice(0, maxHooks).entries()) {
    const judged = judgeHook(item, index, taken);
    taken.add(judged.name);
    if ('message' in judged) invalid.push(judged);
    else hooks.push(judged);
  }
  if (list.length > maxHooks)
    invalid.push(invalidHook(`has ${list.length} hooks, at most ${maxHooks} are told: the first ones`));
  return { hooks, invalid };
}

function unreadable(what: string): HookList {
  return { hooks: [], invalid: [invalidHook(`${what}; write the hooks of spec.onCompletion as JSON`)] };
}

function invalidHook(what: string): InvalidHook {
  return { name: 'invalid', message: `annotation kelos.dev/on-completion ${what}` };
}

function judgeHook(item: unknown, index: number, taken: ReadonlySet<string>): Hook | InvalidHook {
  const parsed = Hook.safeParse(item);
  const fault = parsed.success ? hookFault(parsed.data, taken) : faultOf(parsed.error);
  if (parsed.success && fault === undefined) return parsed.data;
  const where = `annotation kelos.dev/on-completion[${index}]`;
  return { name: nameFor(item, index, taken), message: `${where}${fault ?? ''}` };
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

/** The name it has, when it can be one and is free; else one from its place in the list. */
function nameFor(item: unknown, index: number, taken: ReadonlySet<string>): string {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined;
  const usable = typeof name === 'string' && name.length <= 63 && dnsLabel.test(name) && !taken.has(name);
  return usable ? name : `invalid-${index}`;
}
