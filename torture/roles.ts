import type { Attempt, Delivery } from '../src/api/delivery.ts';
import type { Hook } from '../src/api/hook.ts';
import type { Draft } from '../src/api/kinds.ts';
import type { Random } from './random.ts';

/** How a receiver answers one POST. */
export type Answer =
  | {
      readonly status: number;
      /** Real milliseconds. */
      readonly afterMs?: number;
      /** Seconds by the engine's clock, sent as `Retry-After`. */
      readonly retryAfter?: number | 'as a date';
      readonly location?: string;
      /** Breaks the connection off in the middle of the answer's body. */
      readonly broken?: true;
    }
  | 'silence'
  | 'reset';

/** What a receiver does to connections, before any POST. */
export type Connections = 'served' | 'closed' | 'reset' | 'untrusted';

export type Reason = Attempt['reason'];

/** A hook of every kind there is, with the receiver behind it. Its name is that of the hook. */
export interface Role {
  readonly weight: number;
  /** How connections fare until the receiver is healed. Default: served. */
  readonly connections?: Connections;
  /** Answers until the receiver is healed. From then on, and by default, 204. */
  readonly answer?: (random: Random) => Answer;
  /** Never healed. */
  readonly incurable?: true;
  /** Where it posts to, when not to its receiver. */
  readonly url?: string;
  readonly webhook?: Partial<Hook['webhook']>;
  readonly hook?: Partial<Hook>;
  /** How its Deliveries may end once it is healed: `phase/reason`. */
  readonly ends: readonly `${NonNullable<Delivery['status']>['phase']}/${Reason}`[];
  /** What may become of an attempt, besides what a busy machine does to any. */
  readonly attempts: readonly Reason[];
}

/** An attempt at anybody may take too long on a busy machine, where a second is as short as here. */
export const attemptsOfBusyMachines: readonly Reason[] = ['Timeout', 'Connect', 'TLS'];

/** Each has the first value, and on some stands, later, the others by turns. */
export const secrets = {
  token: { name: 'token', key: 'x-torture-token', values: ['token-of-the-torture', 'token-made-anew'] },
  signing: { name: 'signing', key: 'secret', values: [7, 8].map(signingValue) },
  /** Made when receivers are healed: until then nobody can send it. */
  late: { name: 'late', key: 'x-torture-late', values: ['better late than never'] },
};

function signingValue(byte: number): string {
  return `whsec_${Buffer.alloc(32, byte).toString('base64')}`;
}

const retry = (maxAttempts: number): Partial<Hook['webhook']> => ({ retry: { maxAttempts } });
const signing = { secretRef: { name: secrets.signing.name, key: secrets.signing.key } };

/** Every answer that a receiver in trouble gives, and some that are good. */
const moods: Readonly<Record<string, { readonly weight: number; readonly answer: Answer }>> = {
  good: { weight: 40, answer: { status: 204 } },
  accepted: { weight: 10, answer: { status: 202 } },
  error: { weight: 10, answer: { status: 500 } },
  gateway: { weight: 5, answer: { status: 502 } },
  unavailable: { weight: 3, answer: { status: 503, retryAfter: 1 } },
  limited: { weight: 3, answer: { status: 429, retryAfter: 2 } },
  unauthorized: { weight: 4, answer: { status: 401 } },
  unknown: { weight: 4, answer: { status: 404 } },
  late: { weight: 5, answer: { status: 200, afterMs: 300 } },
  reset: { weight: 6, answer: 'reset' },
  broken: { weight: 5, answer: { status: 200, broken: true } },
  silence: { weight: 5, answer: 'silence' },
};
const moodWeights = Object.fromEntries(Object.entries(moods).map(([name, { weight }]) => [name, weight]));

const delivered = ['Delivered/Delivered'] as const;

/** Where redirects point: nobody may ever ask for it. */
export const redirectTarget = '/redirected';

export const roles: Readonly<Record<string, Role>> = {
  well: { weight: 40, ends: delivered, attempts: ['Delivered'] },
  signed: { weight: 15, webhook: { signing }, ends: delivered, attempts: ['Delivered'] },
  token: {
    weight: 10,
    webhook: { secretRef: { name: secrets.token.name } },
    ends: delivered,
    attempts: ['Delivered'],
  },
  'only-failed': { weight: 10, hook: { phases: ['Failed'] }, ends: delivered, attempts: ['Delivered'] },
  slow: {
    weight: 6,
    answer: (random) => ({ status: 200, afterMs: random.between(100, 1800) }),
    webhook: retry(3),
    ends: delivered,
    attempts: ['Delivered', 'Timeout'],
  },
  moody: {
    weight: 15,
    answer: (random) => moods[random.pick(moodWeights)]?.answer ?? 'silence',
    webhook: { signing, ...retry(4) },
    ends: delivered,
    attempts: ['Delivered', 'HTTPStatus', 'Unavailable', 'RateLimited', 'Reset', 'Timeout'],
  },
  limited: {
    weight: 5,
    answer: (random) =>
      random.chance(0.5)
        ? { status: 204 }
        : { status: 429, retryAfter: random.chance(0.5) ? random.between(1, 10) : 'as a date' },
    webhook: retry(3),
    ends: delivered,
    attempts: ['Delivered', 'RateLimited'],
  },
  failing: {
    weight: 5,
    answer: () => ({ status: 500 }),
    webhook: retry(2),
    ends: delivered,
    attempts: ['Delivered', 'HTTPStatus'],
  },
  silent: {
    weight: 5,
    answer: () => 'silence',
    webhook: retry(2),
    ends: delivered,
    attempts: ['Delivered', 'Timeout'],
  },
  closed: {
    weight: 5,
    connections: 'closed',
    webhook: retry(2),
    ends: delivered,
    attempts: ['Delivered', 'Connect'],
  },
  resetting: {
    weight: 4,
    connections: 'reset',
    webhook: retry(2),
    ends: delivered,
    attempts: ['Delivered', 'TLS', 'Reset'],
  },
  untrusted: {
    weight: 4,
    connections: 'untrusted',
    webhook: retry(2),
    ends: delivered,
    attempts: ['Delivered', 'TLS'],
  },
  'late-secret': {
    weight: 4,
    webhook: { secretRef: { name: secrets.late.name }, ...retry(2) },
    ends: delivered,
    attempts: ['Delivered', 'SecretNotFound'],
  },
  rejecting: {
    weight: 5,
    incurable: true,
    answer: (random) => ({ status: Number(random.pick({ 400: 2, 413: 1, 422: 1, 501: 1 })) }),
    ends: ['Failed/Rejected'],
    attempts: ['Rejected'],
  },
  gone: {
    weight: 4,
    incurable: true,
    answer: () => ({ status: 410 }),
    ends: ['Failed/Gone', 'Skipped/Gone'],
    attempts: ['Gone'],
  },
  redirecting: {
    weight: 4,
    incurable: true,
    answer: (random) => ({
      status: Number(random.pick({ 301: 1, 302: 1, 303: 1, 307: 1, 308: 1 })),
      location: redirectTarget,
    }),
    webhook: retry(2),
    ends: ['Failed/Exhausted'],
    attempts: ['Redirect'],
  },
  invalid: {
    weight: 2,
    incurable: true,
    url: 'http://127.0.0.1/plain',
    ends: ['Failed/InvalidHook'],
    attempts: [],
  },
  blocked: {
    weight: 3,
    incurable: true,
    url: 'https://127.0.0.2/forbidden',
    ends: ['Failed/Blocked'],
    attempts: ['Blocked'],
  },
  filtered: {
    weight: 3,
    incurable: true,
    hook: { filter: "task.message == 'nobody says this'" },
    ends: ['Skipped/FilterFalse'],
    attempts: [],
  },
};

/** The hook of a role whose receiver has this origin. */
export function hookOf(name: string, role: Role, origin: string): Hook {
  return { name, ...role.hook, webhook: { url: role.url ?? `${origin}/${name}`, ...role.webhook } };
}

/** A Secret of a namespace, with its nth value. */
export function secretDraft(
  { name, key, values }: (typeof secrets)[keyof typeof secrets],
  namespace: string,
  nth: number,
): Draft<'Secret'> {
  const value = values[nth % values.length] ?? '';
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: { [key]: value } };
}
