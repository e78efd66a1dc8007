import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { admit } from '../../src/api/admission.ts';
import { hookUrlPattern } from '../../src/api/hook.ts';
import { type Kind, kindNames, type Resource } from '../../src/api/kinds.ts';
import {
  badHooks,
  badHookUrls,
  badMetadata,
  badResources,
  hook,
  spawner,
  task,
  taskWith,
  url,
  withHooks,
} from './bad-resources.ts';

function faultsOf(kind: Kind, object: unknown, before?: unknown): string[] {
  const { faults } = admit(kind, object, { before: before as Resource | undefined, unknownFields: 'refuse' });
  return faults.map(({ path, message }) => `${path}: ${message}`);
}

describe('what a store takes', () => {
  it('is stored as the very object that was given when nothing has to change', () => {
    expect(admit('Task', task, { unknownFields: 'refuse' })).toEqual({ object: task, faults: [] });
    expect(admit('Task', task, { unknownFields: 'refuse' }).object).toBe(task);
  });

  it.each(['kelos.dev/v1alpha1', 'kelos.dev/v1alpha2'])(
    'may be written in %s and is stored in v1alpha2',
    (apiVersion) => {
      const { object, faults } = admit('Task', { ...task, apiVersion }, { unknownFields: 'refuse' });
      expect(faults).toEqual([]);
      expect(object['apiVersion']).toBe('kelos.dev/v1alpha2');
    },
  );

  it('loses unknown fields when pruning, and the original stays as it was', () => {
    const given = taskWith({ promt: 'x', env: [{ name: 'A', valeu: '1' }] }, { managedFields: [] });
    const copy = structuredClone(given);
    const { object, faults } = admit('Task', { ...given, extra: 1 }, { unknownFields: 'prune' });
    expect(faults).toEqual([]);
    expect(object).toEqual({ ...task, spec: { ...task.spec, env: [{ name: 'A' }] } });
    expect(given).toEqual(copy);
  });

  it('keeps what stands where anything may stand', () => {
    const resources = { limits: { cpu: '1', 'nvidia.com/gpu': 2 }, claims: [{ name: 'x' }] };
    const { object } = admit('Task', taskWith({ podOverrides: { resources } }), { unknownFields: 'prune' });
    expect(object).toMatchObject({ spec: { podOverrides: { resources } } });
  });

  it('gets the defaults of the schema', () => {
    const when = { githubIssues: { repo: 'o/r' } };
    const { object } = admit(
      'TaskSpawner',
      { ...spawner, spec: { ...spawner.spec, when } },
      { unknownFields: 'refuse' },
    );
    expect(object).toMatchObject({ spec: { when: { githubIssues: { state: 'open', types: ['issues'] } } } });
  });

  it('counts null as absent when pruning, but not where anything may stand', () => {
    const anything = { affinity: { a: null } };
    const given = taskWith({ prompt: null, podOverrides: { ...anything, nodeSelector: { a: null } } });
    const { object, faults } = admit('Task', given, { unknownFields: 'prune' });
    expect(faults).toEqual([]);
    expect(object).toEqual(taskWith({ prompt: undefined, podOverrides: { ...anything, nodeSelector: {} } }));
    expect(faultsOf('Task', given)).toEqual([
      'spec.prompt: must be a string, not null',
      'spec.podOverrides.nodeSelector.a: must be a string, not null',
    ]);
  });

  it('counts undefined as absent', () => {
    const { object, faults } = admit('Task', taskWith({ model: undefined }), { unknownFields: 'refuse' });
    expect(faults).toEqual([]);
    expect(Object.keys(object['spec'] as object)).not.toContain('model');
  });

  it('has the plain text of a Secret folded into its data', () => {
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a' },
      data: { a: 'MQ==', b: 'MQ==' },
    };
    const { object, faults } = admit(
      'Secret',
      { ...secret, stringData: { a: '2' } },
      { unknownFields: 'refuse' },
    );
    expect(faults).toEqual([]);
    expect(object).toEqual({ ...secret, data: { a: 'Mg==', b: 'MQ==' } });
  });

  it('may hold a status that is not looked at when the rest is written, and the other way round', () => {
    const odd = { ...task, status: { phase: 'Odd' } };
    expect(admit('Task', odd, { part: 'main', unknownFields: 'refuse' })).toEqual({
      object: odd,
      faults: [],
    });
    const status = { ...taskWith({ promt: 'x' }), status: { phase: 'Running' } };
    expect(admit('Task', status, { part: 'status', unknownFields: 'refuse' })).toEqual({
      object: status,
      faults: [],
    });
    expect(admit('Task', odd, { part: 'status', unknownFields: 'refuse' }).faults[0]?.path).toBe(
      'status.phase',
    );
    expect(admit('Task', odd, { part: 'all', unknownFields: 'refuse' }).faults[0]?.path).toBe('status.phase');
  });
});

describe('what a store refuses', () => {
  it.each(badResources)('%s', (_what, kind, object, line) => {
    expect(faultsOf(kind, object)).toEqual([line]);
  });

  it('every fault at once, not only the first', () => {
    expect(faultsOf('Task', { ...taskWith({ prompt: 1, modle: 'x', branchLock: 'none' }), x: 1 })).toEqual([
      'spec.prompt: must be a string, not a number',
      'spec.branchLock: must be one of Exclusive, None, not "none": did you mean None?',
      'x: unknown field: remove it',
      'spec.modle: unknown field: did you mean spec.model?',
    ]);
  });

  it('never quotes the value of a Secret or a URL', () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, data: { k: 's3cr3t!' } };
    expect(JSON.stringify(faultsOf('Secret', secret))).not.toContain('s3cr3t');
    expect(
      JSON.stringify(faultsOf('TaskSpawner', withHooks([hook({ url: 'https://u:s3cr3t@h/' })]))),
    ).not.toContain('s3cr3t');
  });

  it('a change of a Secret that is immutable', () => {
    const before = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'a' },
      immutable: true,
      data: { k: 'MQ==' },
    };
    expect(faultsOf('Secret', { ...before, data: { k: 'Mg==' } }, before)).toEqual([
      'data: cannot change: the Secret is immutable; delete it and make another',
    ]);
    expect(faultsOf('Secret', { ...before, metadata: { name: 'a', labels: { x: 'y' } } }, before)).toEqual(
      [],
    );
  });
});

describe('metadata', () => {
  it.each(badMetadata)('refuses a bad %s', (_field, metadata, line) => {
    expect(faultsOf('Task', taskWith({}, metadata))).toEqual([line]);
  });

  it('takes generateName for a name, and what a cluster exports', () => {
    const exported = {
      managedFields: [{}],
      selfLink: '/x',
      creationTimestamp: '2026-01-02T03:04:05Z',
      uid: 'u',
    };
    expect(faultsOf('Task', taskWith({}, { name: undefined, generateName: 'a-', ...exported }))).toEqual([]);
  });

  it('lets finalizers go from, but not come to, what is being deleted', () => {
    const before = taskWith(
      {},
      { deletionTimestamp: '2026-01-02T03:04:05Z', finalizers: ['a.io/x', 'a.io/y'] },
    );
    expect(faultsOf('Task', taskWith({}, { finalizers: ['a.io/y'] }), before)).toEqual([]);
    expect(faultsOf('Task', taskWith({}, { finalizers: ['a.io/z'] }), before)).toEqual([
      'metadata.finalizers[0]: cannot be added to a resource that is being deleted',
    ]);
  });
});

describe('the spec of a Task', () => {
  const fixed = (field: string): string =>
    `spec.${field}: cannot change after the Task was made (only suspend can); delete the Task and make another`;

  it.each<[string, object, string]>([
    ['a field that changes', { prompt: 'q' }, 'prompt'],
    ['a field that comes', { model: 'm' }, 'model'],
    ['a field that goes', { prompt: undefined }, 'prompt'],
    ['an entry that changes deep inside', { env: [{ name: 'A', value: '2' }] }, 'env'],
  ])('refuses %s', (_what, change, field) => {
    expect(faultsOf('Task', taskWith(change), task)).toEqual([fixed(field)]);
  });

  it('may be suspended and resumed', () => {
    const suspended = taskWith({ suspend: true });
    expect(faultsOf('Task', suspended, task)).toEqual([]);
    expect(faultsOf('Task', taskWith({ suspend: false }), suspended)).toEqual([]);
    expect(faultsOf('Task', task, suspended)).toEqual([]);
  });

  it('is not judged again while it stays as it is', () => {
    const old = taskWith({ type: 'agent-of-old' });
    expect(
      faultsOf('Task', { ...structuredClone(old), metadata: { name: 'a', labels: { x: 'y' } } }, old),
    ).toEqual([]);
  });
});

describe('hooks', () => {
  it.each([
    'https://hooks.example.com',
    'https://hooks.example.com/',
    'https://hooks.example.com:8443/a?b=c#d',
    'https://hooks.example.com/@team/x@y',
    'https://hooks.example.com?to=a@b',
    'https://[2606:4700::1111]/x',
    'https://bücher.example/x',
  ])('may go to %s', (target) => {
    expect(faultsOf('TaskSpawner', withHooks([hook({ url: target })]))).toEqual([]);
  });

  it.each(badHookUrls)('may not go to %j', (target) => {
    expect(faultsOf('TaskSpawner', withHooks([hook({ url: target })]))).toEqual([
      'spec.onCompletion.hooks[0].webhook.url: must be an https URL without user or password',
    ]);
  });

  it.each(badHooks)('may not be %s', (_what, hooks, line) => {
    expect(faultsOf('TaskSpawner', withHooks(hooks))).toEqual([`spec.onCompletion.${line}`]);
  });

  it('may be eight, and a PagerDuty hook needs no URL', () => {
    const eight = Array.from({ length: 8 }, (_, index) => ({ name: `a${index}`, webhook: { url } }));
    expect(faultsOf('TaskSpawner', withHooks(eight))).toEqual([]);
    expect(faultsOf('TaskSpawner', withHooks([hook({ format: 'pagerduty' })]))).toEqual([]);
  });

  it('have a URL pattern that means the same with and without the u flag', () => {
    const plain = new RegExp(hookUrlPattern);
    const unicode = new RegExp(hookUrlPattern, 'u');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const candidate = `https://${text}`;
        expect(plain.test(candidate)).toBe(unicode.test(candidate));
      }),
      { numRuns: 300 },
    );
  });
});

describe('whatever is written', () => {
  // Keys and values that the schemas know make it past the first check.
  const word = fc.constantFrom(
    ...[
      'spec',
      'status',
      'metadata',
      'name',
      'hooks',
      'when',
      'cron',
      'taskTemplate',
      'type',
      'command',
      'env',
    ],
    ...[
      'onCompletion',
      'webhook',
      'worker',
      '__proto__',
      'constructor',
      'labels',
      'conditions',
      'data',
      'url',
    ],
  );
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom(null, true, 0, -1, 1.5, 1e300, '', 'command', 'https://x/', 'a'),
      fc.string(),
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(word, fc.string()), tie('json'), { maxKeys: 8 }),
    ),
  }));

  it.each(kindNames)('as a %s is judged without an exception, in one line per fault', (kind) => {
    fc.assert(
      fc.property(json, json, json, fc.boolean(), (metadata, spec, before, prune) => {
        const object = { apiVersion: 'kelos.dev/v1alpha2', kind, metadata, spec, status: spec };
        const { faults } = admit(kind, object, {
          before: { spec: before, metadata: {} } as unknown as Resource,
          part: 'all',
          unknownFields: prune ? 'prune' : 'refuse',
        });
        for (const { path, message } of faults) {
          expect(message).toMatch(/^[^\n\r]+$/);
          expect(typeof path).toBe('string');
        }
      }),
      { numRuns: 150 },
    );
  });

  it.each(kindNames)('as a whole %s is judged without an exception', (kind) => {
    fc.assert(
      fc.property(json, (object) => {
        expect(admit(kind, object, { unknownFields: 'refuse' }).faults.length).toBeGreaterThan(0);
      }),
      { numRuns: 50 },
    );
  });

  it('prunes to something that pruning leaves alone', () => {
    fc.assert(
      fc.property(json, (spec) => {
        const once = admit('Task', { ...task, spec }, { unknownFields: 'prune' }).object;
        expect(admit('Task', once, { unknownFields: 'prune' }).object).toBe(once);
      }),
      { numRuns: 200 },
    );
  });
});
