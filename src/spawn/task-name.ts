import { createHash } from 'node:crypto';
import type { ItemName } from './work-item.ts';

/** The longest name of a Task: its Job and its Pod's labels take no more. */
const maxLength = 63;

/**
 * The name of the Task that a TaskSpawner makes of a work item: a DNS-1123 name of at most 63 characters that
 * is the same each time. A name that would be longer loses the end of its readable part and gets six hex
 * digits of the whole of it instead; what tells items apart is never cut.
 */
export function taskName(spawner: string, item: ItemName): string {
  if (item.kind === 'id') return joined(spawner, dnsText(item.id));
  const digest = sha256(item.deliveryId).slice(0, 12);
  return joined(`${spawner}-${dnsText(item.event)}`, digest);
}

/**
 * The name that a rendered `nameTemplate` stands for: lower case, everything else than letters, digits, `-`
 * and `.` replaced by `-`, at most 63 characters. Undefined when nothing is left.
 */
export function nameFromText(text: string): string | undefined {
  const name = dnsLabels(
    text
      .toLowerCase()
      .replace(/[^a-z0-9.-]/g, '-')
      .slice(0, maxLength),
  );
  return name === '' ? undefined : name;
}

/** `<prefix>-<tail>`, made to fit. */
function joined(prefix: string, tail: string): string {
  const whole = `${prefix}-${tail}`;
  if (whole.length <= maxLength) return whole;
  if (tail.length > maxLength / 2) return joined(prefix, sha256(tail).slice(0, 12));
  // Two TaskSpawners whose long names begin alike must not meet in one Task.
  const mark = sha256(prefix).slice(0, 6);
  const cut = prefix.slice(0, maxLength - tail.length - mark.length - 2).replace(/[-.]+$/, '');
  return `${cut}-${mark}-${tail}`;
}

/** An id as part of a name: `ENG-42` → `eng-42`, `pull_request` → `pull-request`. */
function dnsText(text: string): string {
  const part = dnsLabels(text.toLowerCase().replace(/[^a-z0-9.-]/g, '-'));
  // An id of nothing but punctuation still has to differ from others.
  return part === '' ? sha256(text).slice(0, 12) : part;
}

/** Trims each dot-separated label of `-` and drops the empty ones. */
function dnsLabels(text: string): string {
  return text
    .split('.')
    .map((label) => label.replace(/^-+|-+$/g, ''))
    .filter((label) => label !== '')
    .join('.');
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
