import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { Fault } from '../../api/fault.ts';
import { isJsonObject, type JsonObject } from '../../base/json.ts';
import { clampUtf8, escapeControls } from '../../base/text.ts';
import { StoreError } from '../errors.ts';
import { alreadyExists, conflict, gone, invalidFaults, notFound } from '../refusals.ts';
import { type Key, keyText } from '../store.ts';
import type { ApiAnswer } from './transport.ts';

/** The longest that a message of the API server is shown. */
const maxShownBytes = 600;

const Cause = z.object({
  reason: z.string().nullish(),
  message: z.string().nullish(),
  field: z.string().nullish(),
});

/** `metav1.Status`, what an API server says when it refuses. */
const Status = z.object({
  kind: z.literal('Status'),
  reason: z.string().nullish(),
  message: z.string().nullish(),
  details: z
    .object({ name: z.string().nullish(), kind: z.string().nullish(), causes: z.array(Cause).nullish() })
    .nullish(),
});
type Status = z.infer<typeof Status>;

/** Reads the JSON of an answer. @throws StoreError `Unavailable` when it is none: a proxy may have answered */
export function parseAnswer({ status, body }: ApiAnswer, server: string): unknown {
  try {
    return JSON.parse(body);
  } catch (thrown) {
    throw new StoreError(
      'Unavailable',
      `${server}: answered ${status} with what is not JSON: check its URL`,
      {
        cause: thrown,
      },
    );
  }
}

/** The JSON object of an answer; an empty one when it is something else. @throws as `parseAnswer` does */
export function objectOf(answer: ApiAnswer, server: string): JsonObject {
  const parsed = parseAnswer(answer, server);
  return isJsonObject(parsed) ? parsed : {};
}

/** What a refused request was about. */
export interface Subject {
  readonly kind: string;
  /** Undefined for lists, and for what has no name yet. */
  readonly key: Key | undefined;
}

/**
 * The error that an answer other than success stands for. A 404 about no resource at all (a kind that is not served)
 * is for the caller to tell apart first: see `isNotServed`.
 */
export function refusedResource(answer: ApiAnswer, subject: Subject, server: string): StoreError {
  const status = statusOf(answer);
  const { kind, key } = subject;
  const message = shown(status.message ?? '');
  const resource = key ?? { namespace: '', name: status.details?.name ?? '' };
  switch (answer.status) {
    case 404:
      // A resource may also be refused because its namespace is not there.
      return isAbout(status, 'namespaces')
        ? notInNamespace(kind, resource, message)
        : notFound(kind, resource);
    case 409:
      return status.reason === 'AlreadyExists'
        ? alreadyExists(kind, resource)
        : conflict(kind, resource, firstOf(message, 'it was changed meanwhile'));
    case 410:
      return gone(message);
    case 400:
    case 413:
    case 422:
      return invalidFaults(subjectText(subject), faultsOf(status, kind));
    case 403:
      return forbidden(answer, status, subject, server);
    default:
      // What the API server takes and etcd does not; the limits of both can be set.
      if (/request is too large|message larger than max/i.test(message))
        return invalidFaults(subjectText(subject), [{ path: '', message }]);
      return refusedCall(answer, server);
  }
}

/** Whether a 404 says that there is no such kind of resource, rather than no such resource. */
export function isNotServed(answer: ApiAnswer): boolean {
  if (answer.status !== 404) return false;
  const { details } = statusOf(answer);
  return !details?.name && !details?.kind;
}

/** The error for an answer that is about no resource, or about none in particular. */
export function refusedCall(answer: ApiAnswer, server: string): StoreError {
  const { message } = statusOf(answer);
  const what = `${server}: answered ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`.trimEnd();
  const why = message ? ` (${shown(message)})` : '';
  const isRefusal = answer.status === 401 || answer.status === 403;
  return new StoreError('Unavailable', `${what}${why}: ${remedyOf(answer.status)}`, { isRefusal });
}

/** The error that an ERROR event of a watch stands for. */
export function watchError(status: unknown, server: string): StoreError {
  const code = z.object({ code: z.int() }).safeParse(status).data?.code ?? 500;
  const answer = { status: code, body: JSON.stringify(status) };
  return code === 410
    ? gone(shown(statusOf(answer).message ?? 'the version is too old'))
    : refusedCall(answer, server);
}

function remedyOf(status: number): string {
  if (status === 401) return 'renew the credentials that the kubeconfig names';
  if (status === 403) return 'grant it with a Role and a RoleBinding';
  return status === 429 || status >= 500 ? 'try again later' : 'check the server in the kubeconfig';
}

function forbidden(answer: ApiAnswer, status: Status, subject: Subject, server: string): StoreError {
  const message = shown(status.message ?? '');
  const causes = status.details?.causes ?? [];
  if (causes.some(({ reason }) => reason === 'NamespaceTerminating')) {
    return notInNamespace(
      subject.kind,
      subject.key ?? { namespace: '', name: '' },
      'the namespace is being deleted',
    );
  }
  // Admission says no to the resource as it is; what RBAC forbids and a quota holds back may be let through later.
  if (/denied (the )?request/.test(message)) {
    return invalidFaults(subjectText(subject), [{ path: '', message }]);
  }
  if (/exceeded quota/.test(message))
    return new StoreError(
      'Unavailable',
      `${subjectText(subject)}: ${message}: make room, or raise the quota`,
      { isRefusal: true },
    );
  return refusedCall(answer, server);
}

function notInNamespace(kind: string, key: Key, why: string): StoreError {
  return new StoreError('NotFound', `${kind} ${keyText(key)}: ${why}: create the namespace first`);
}

function isAbout(status: Status, plural: string): boolean {
  return status.details?.kind === plural;
}

/** What is wrong where. */
function faultsOf(status: Status, kind: string): readonly Fault[] {
  const causes = (status.details?.causes ?? []).filter(({ field }) => field);
  if (causes.length === 0 || causes.some(({ field }) => field === 'patch')) {
    return [unreadableFault(status.message ?? '', kind)];
  }
  const faults = causes.map(({ field, message }) => faultOf(field ?? '', message ?? 'is not valid'));
  // It says so of rules that wait for the others to be kept.
  const told = faults.filter(({ message }) => !message.startsWith('some validation rules were not checked'));
  return told.length > 0 ? told : faults;
}

/** Kubernetes repeats the type and the field in its messages. */
function faultOf(field: string, message: string): Fault {
  const path = field === '<nil>' ? '' : field;
  const bare = shown(message).replace(
    /^Invalid value: (?:"(?:object|array|string|integer|number|boolean|null)"|null): /,
    '',
  );
  const prefix = `${path} in body `;
  return { path, message: path !== '' && bare.startsWith(prefix) ? bare.slice(prefix.length) : bare };
}

/**
 * What cannot even be decoded. Kubernetes then quotes the whole object, which may be a Secret or 200 KB: only what the
 * decoder says at the end is shown, and of a Secret nothing but the field.
 */
function unreadableFault(message: string, kind: string): Fault {
  const said =
    /(?:^|: )json: cannot unmarshal (\w+) into Go (?:struct field (\w+)\.([\w.]+)|value of type v1\.(\w+))/g;
  const [, wrong, struct, field, value] = [...message.matchAll(said)].at(-1) ?? [];
  if (wrong !== undefined) {
    return { path: goPath(struct ?? value ?? '', field ?? ''), message: `must not be a ${wrong}` };
  }
  if (kind === 'Secret') return { path: '', message: 'the API server cannot read it: check its fields' };
  return { path: '', message: message.includes('Invalid value: "{') ? 'cannot be read' : shown(message) };
}

/** The path of a field of one of Kubernetes' own types; which of its versions say the path from the root differs. */
function goPath(struct: string, field: string): string {
  const root = { ObjectMeta: 'metadata', OwnerReference: 'metadata' }[struct];
  if (root === undefined) return field;
  if (field === '') return root;
  return field.startsWith(`${root}.`) ? field : `${root}.${field}`;
}

function subjectText({ kind, key }: Subject): string {
  return key === undefined ? kind : `${kind} ${keyText(key)}`;
}

function statusOf({ body }: ApiAnswer): Status {
  try {
    const checked = Status.safeParse(JSON.parse(body));
    if (checked.success) return checked.data;
  } catch (_noJson) {
    // A proxy, or a part of the API server that answers in plain text.
  }
  return { kind: 'Status' };
}

function firstOf(message: string, otherwise: string): string {
  return message === '' ? otherwise : message;
}

/** A message of the API server as a part of one line. */
function shown(message: string): string {
  return escapeControls(clampUtf8(message.trim().replace(/\s+/g, ' '), maxShownBytes));
}
