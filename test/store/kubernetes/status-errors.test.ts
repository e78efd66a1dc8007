import { describe, expect, test } from 'vitest';
import {
  isNotServed,
  refusedCall,
  refusedResource,
  watchError,
} from '../../../src/store/kubernetes/status-errors.ts';
import type { ApiAnswer } from '../../../src/store/kubernetes/transport.ts';

const task = { kind: 'Task', key: { namespace: 'n', name: 'a' } } as const;
const secret = { kind: 'Secret', key: { namespace: 'n', name: 's' } } as const;

const answer = (status: number, rest: object): ApiAnswer => ({
  status,
  body: JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, ...rest }),
});
const told = (given: ApiAnswer, subject: typeof task | typeof secret = task) => {
  const { code, message, faults } = refusedResource(given, subject, 'K');
  expect(message).not.toContain('\n');
  return { code, message, faults };
};

describe('what an API server refuses', () => {
  test.each([
    [404, 'NotFound', { details: { name: 'a', kind: 'tasks' } }, 'NotFound', 'Task n/a does not exist'],
    [409, 'AlreadyExists', {}, 'AlreadyExists', 'Task n/a exists already'],
    [
      409,
      'Conflict',
      { message: 'the object has been modified' },
      'Conflict',
      /the object has been modified; read/,
    ],
    [410, 'Expired', { message: 'too old resource version' }, 'Gone', 'too old resource version; list again'],
    [
      403,
      'Forbidden',
      { message: 'User "u" cannot list resource "tasks"' },
      'Unavailable',
      /cannot list.*: grant it/,
    ],
    [
      403,
      'Forbidden',
      { message: 'forbidden', details: { causes: [{ reason: 'NamespaceTerminating' }] } },
      'NotFound',
      /Task n\/a: the namespace is being deleted/,
    ],
    [
      404,
      'NotFound',
      { message: 'no n', details: { name: 'n', kind: 'namespaces' } },
      'NotFound',
      /Task n\/a: no n: create/,
    ],
    [
      403,
      'Forbidden',
      { message: 'admission webhook "w" denied the request: no' },
      'Invalid',
      /denied the request: no/,
    ],
    [403, 'Forbidden', { message: 'exceeded quota: q' }, 'Unavailable', /exceeded quota/],
    [
      401,
      'Unauthorized',
      { message: 'Unauthorized' },
      'Unavailable',
      /401 Unauthorized .*renew the credentials/,
    ],
    [429, 'TooManyRequests', {}, 'Unavailable', /429 Too Many Requests: try again later/],
    [
      500,
      'InternalError',
      { message: 'etcdserver: request is too large' },
      'Invalid',
      /request is too large/,
    ],
    [
      504,
      'Timeout',
      { message: 'a\nb' },
      'Unavailable',
      'K: answered 504 Gateway Timeout (a b): try again later',
    ],
  ])('with %i %s is what the store calls it', (status, reason, rest, code, message) => {
    const error = told(answer(status, { reason, ...rest }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test('each cause is a fault, in plain words, without what Kubernetes repeats', () => {
    const causes = [
      {
        reason: 'FieldValueTypeInvalid',
        message: 'Invalid value: "string": spec.suspend in body must be of type boolean: "string"',
        field: 'spec.suspend',
      },
      { reason: 'FieldValueInvalid', message: 'Invalid value: "object": spec cannot change', field: 'spec' },
      {
        reason: 'FieldValueInvalid',
        message: 'Invalid value: null: some validation rules were not checked because the object was invalid',
        field: '<nil>',
      },
    ];
    expect(told(answer(422, { details: { causes } }))).toEqual({
      code: 'Invalid',
      message: 'Task n/a: spec.suspend: must be of type boolean: "string" (and 1 more)',
      faults: [
        { path: 'spec.suspend', message: 'must be of type boolean: "string"' },
        { path: 'spec', message: 'spec cannot change' },
      ],
    });
  });

  test('what cannot be decoded is told by its field; the object that is quoted stays out', () => {
    const tail =
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type map[string]string';
    const message = `patch: Invalid value: "{\\"data\\":{\\"a\\":\\"geheim\\"}}": ${tail}`;
    const patched = answer(422, { message, details: { causes: [{ field: 'patch', message }] } });
    for (const subject of [task, secret]) {
      expect(told(patched, subject).faults).toEqual([
        { path: 'metadata.labels', message: 'must not be a number' },
      ]);
    }
    const short = 'json: cannot unmarshal string into Go struct field ObjectMeta.finalizers of type []string';
    expect(told(answer(400, { message: `Task cannot be handled as a Task: ${short}` })).faults).toEqual([
      { path: 'metadata.finalizers', message: 'must not be a string' },
    ]);
    const whole = 'json: cannot unmarshal string into Go value of type v1.ObjectMeta';
    expect(told(answer(400, { message: whole })).faults[0]?.path).toBe('metadata');
  });

  test('nothing that was in a Secret is repeated', () => {
    const message =
      'patch: Invalid value: "{\\"data\\":{\\"a\\":\\"geheim!\\"}}": illegal base64 data at input byte 6';
    const causes = [{ field: 'patch', message }];
    for (const status of [400, 422]) {
      expect(JSON.stringify(told(answer(status, { message, details: { causes } }), secret))).not.toContain(
        'geheim',
      );
      expect(JSON.stringify(told(answer(status, { message }), secret))).not.toContain('geheim');
    }
  });

  test('a kind that is not served is told apart from a resource that is not there', () => {
    expect(isNotServed({ status: 404, body: '404 page not found\n' })).toBe(true);
    expect(isNotServed(answer(404, { reason: 'NotFound', details: {} }))).toBe(true);
    expect(isNotServed(answer(404, { details: { name: 'a', kind: 'tasks' } }))).toBe(false);
    expect(isNotServed(answer(410, {}))).toBe(false);
  });

  test('what a proxy answers is Unavailable', () => {
    const error = refusedCall({ status: 502, body: '<html>\u0007' }, 'K');
    expect([error.code, error.message]).toEqual([
      'Unavailable',
      'K: answered 502 Bad Gateway: try again later',
    ]);
  });

  test('a watch that is told that its version is too old is Gone, any other error Unavailable', () => {
    expect(watchError({ kind: 'Status', code: 410, message: 'too old' }, 'K').code).toBe('Gone');
    expect(watchError({ kind: 'Status', code: 500, message: 'no' }, 'K').code).toBe('Unavailable');
    expect(watchError(7, 'K').code).toBe('Unavailable');
  });
});
