import { findKind, type Kind, kindNames, kinds } from '../api/kinds.ts';
import { nearest } from '../base/nearest.ts';
import { CliError, UsageError } from './cli-error.ts';
import type { GlobalOptions } from './global-options.ts';

/** Which resources a command is about. */
export type ResourceSelection =
  | { readonly by: 'kind'; readonly kinds: readonly Kind[] }
  | { readonly by: 'name'; readonly targets: readonly Target[] };

/** One resource, by name. */
export interface Target {
  readonly kind: Kind;
  readonly name: string;
}

/** What `all` stands for: what people work with. */
const allKinds: readonly Kind[] = ['TaskSpawner', 'Task', 'Workspace', 'AgentConfig', 'Delivery'];

/**
 * Reads `KIND`, `KIND,KIND`, `all`, `KIND NAME…` and `KIND/NAME…`.
 * @throws UsageError with the nearest right spelling
 */
export function parseSelection(args: readonly string[], options: GlobalOptions): ResourceSelection {
  const [first, ...names] = args;
  if (first === undefined) {
    throw new UsageError('no resource named', 'arguments', `write a kind such as tasks, or KIND/NAME`);
  }
  const selection = first.includes('/')
    ? { by: 'name' as const, targets: args.map(parseTarget) }
    : selectByKind(first, names);
  if (selection.by === 'kind') return selection;
  if (options.allNamespaces) {
    throw new UsageError('a name belongs to one namespace', '--all-namespaces', 'use --namespace');
  }
  if (options.selector !== undefined) {
    throw new UsageError('a name and a selector exclude each other', '--selector', 'leave one out');
  }
  return selection;
}

/** Reads `KIND NAME` or `KIND/NAME`, or a bare name when only one kind makes sense. @throws UsageError */
export function parseOneTarget(args: readonly string[], expected: readonly Kind[]): Target {
  const [first, second, ...more] = args;
  const example = expected.map((kind) => `${kinds[kind].singular}/NAME`).join(' or ');
  if (first === undefined || more.length > 0 || (second !== undefined && first.includes('/'))) {
    throw new UsageError('one resource is expected', 'arguments', `write ${example}`);
  }
  const [only] = expected;
  if (!first.includes('/') && second === undefined && expected.length === 1 && only !== undefined) {
    return { kind: only, name: first };
  }
  const target = parseTarget(second === undefined ? first : `${first}/${second}`);
  if (!expected.includes(target.kind)) {
    throw new UsageError(`not for ${kinds[target.kind].plural}`, `'${args.join(' ')}'`, `write ${example}`);
  }
  return target;
}

function selectByKind(kindText: string, names: readonly string[]): ResourceSelection {
  const selected = kindText === 'all' ? allKinds : kindText.split(',').map(parseKind);
  if (names.length === 0) return { by: 'kind', kinds: [...new Set(selected)] };
  const slashed = names.find((name) => name.includes('/'));
  if (slashed !== undefined) {
    throw new UsageError('KIND NAME and KIND/NAME are mixed', `'${slashed}'`, 'use one of the two ways');
  }
  return { by: 'name', targets: selected.flatMap((kind) => names.map((name) => ({ kind, name }))) };
}

function parseTarget(text: string): Target {
  const slash = text.indexOf('/');
  const name = text.slice(slash + 1);
  if (slash === -1 || name === '' || name.includes('/')) {
    throw new UsageError('not a resource', `'${text}'`, 'write KIND/NAME, such as task/x');
  }
  return { kind: parseKind(text.slice(0, slash)), name };
}

function parseKind(text: string): Kind {
  // kubectl also takes the group behind a dot: tasks.kelos.dev
  const dot = text.indexOf('.');
  const kind = findKind(dot === -1 ? text : text.slice(0, dot));
  if (kind !== undefined && (dot === -1 || text.slice(dot + 1).endsWith(kinds[kind].group))) return kind;
  const words = kindNames.flatMap((name) => [
    kinds[name].plural,
    kinds[name].singular,
    ...kinds[name].shortNames,
  ]);
  const near = nearest(text, words);
  const known = kindNames.map((name) => kinds[name].plural).join(', ');
  throw new UsageError(
    `unknown kind '${text}'`,
    'arguments',
    near === undefined ? `use one of ${known}` : `did you mean ${near}?`,
  );
}

/** `task/x`, as people and scripts see it. */
export function resourceName(resource: {
  readonly kind: Kind;
  readonly metadata: { readonly name?: string | undefined };
}): string {
  return `${kinds[resource.kind].singular}/${resource.metadata.name ?? ''}`;
}

/** What is said when a named resource is not there. */
export function missing(target: Target, namespace: string, cause?: unknown): CliError {
  const { singular, plural } = kinds[target.kind];
  return new CliError(
    'not found',
    `${singular}/${target.name} in namespace ${namespace}`,
    `see telos get ${plural} -A`,
    { cause },
  );
}
