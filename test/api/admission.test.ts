import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { admit } from '../../src/api/admission.ts';
import { hookUrlPattern } from '../../src/api/hook.ts';
import { type Kind, kindNames, type Resource } from '../../src/api/kinds.ts';

const task = {
  apiVersion: 'kelos.dev/v1alpha2',
  kind: 'Task',
  metadata: { name: 'a', namespace: 'default' },
  spec: { type: 'command', command: ['true'], prompt: 'p', env: [{ name: 'A', value: '1' }] },
};

const spawner = {
  apiVersion: 'kelos.dev/v1alpha1',
  kind: 'TaskSpawner',
  metadata: { name: 's' },
  spec: {
    when: { cron: { schedule: '* * * * *' } },
    taskTemplate: { type: 'command', command: ['true'] },
  },
};

function faultsOf(kind: Kind, object: unknown, before?: unknown): string[] {
  const { faults } = admit(kind, object, { before: before as Resource | undefined, unknownFields: 'refuse' });
  return faults.map(({ path, message }) => `${path}: ${message}`);
}

function taskWith(spec: object, metadata: object = {}): object {
  return { ...task, metadata: { ...task.metadata, ...metadata }, spec: { ...task.spec, ...spec } };
}

function withHooks(hooks: unknown): object {
  return { ...spawner, spec: { ...spawner.spec, onCompletion: { hooks } } };
}

function hook(webhook: object, rest: object = {}): object {
  return { name: 'a', webhook, ...rest };
}

const url = 'https://hooks.example.com/x';

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
  it.each<[string, Kind, unknown, string]>([
    ['no mapping', 'Task', 'x', ': must be a mapping with apiVersion, kind and metadata'],
    ['another kind', 'Task', { ...task, kind: 'Secret' }, 'kind: must be Task'],
    [
      'no apiVersion',
      'Task',
      { ...task, apiVersion: undefined },
      'apiVersion: is required: kelos.dev/v1alpha2',
    ],
    [
      'a version that is not served',
      'Task',
      { ...task, apiVersion: 'kelos.dev/v1' },
      'apiVersion: must be kelos.dev/v1alpha1 or kelos.dev/v1alpha2',
    ],
    [
      'no metadata',
      'Task',
      { ...task, metadata: undefined },
      'metadata: is required: give it at least a name',
    ],
    ['no spec', 'Task', { ...task, spec: undefined }, 'spec: is required'],
    ['a wrong type', 'Task', taskWith({ prompt: 5 }), 'spec.prompt: must be a string, not a number'],
    ['null', 'Task', taskWith({ prompt: null }), 'spec.prompt: must be a string, not null'],
    [
      'a mapping for a list',
      'Task',
      taskWith({ command: {} }),
      'spec.command: must be a list, not a mapping',
    ],
    ['an empty list', 'Task', taskWith({ command: [] }), 'spec.command: must have at least one entry'],
    [
      'a mistyped field',
      'Task',
      taskWith({ promt: 'x' }),
      'spec.promt: unknown field: did you mean spec.prompt?',
    ],
    ['a field like no other', 'Task', taskWith({ zzzzzz: 'x' }), 'spec.zzzzzz: unknown field: remove it'],
    [
      'a mistyped field in a list',
      'Task',
      taskWith({ env: [{ name: 'A' }, { nmae: 'B', name: 'B' }] }),
      'spec.env[1].nmae: unknown field: did you mean spec.env[1].name?',
    ],
    [
      'a mistyped value',
      'Task',
      taskWith({ type: 'comand' }),
      'spec.type: must be one of claude-code, codex, gemini, opencode, cursor, command, not "comand": did you mean command?',
    ],
    ['no command', 'Task', taskWith({ command: undefined }), 'spec.command: is required for type command'],
    ['a command for an agent', 'Task', taskWith({ type: 'codex' }), 'spec.command: goes with type: command'],
    [
      'no prompt for an agent',
      'Task',
      taskWith({ type: 'codex', command: undefined, prompt: undefined }),
      'spec.prompt: is required (only type command goes without)',
    ],
    [
      'an agent without a type',
      'Task',
      taskWith({ type: undefined, command: undefined }),
      'spec: one of type, worker.type and workerPoolRef is required',
    ],
    [
      'no source',
      'TaskSpawner',
      { ...spawner, spec: { ...spawner.spec, when: {} } },
      'spec.when: exactly one source is required',
    ],
    [
      'two sources',
      'TaskSpawner',
      {
        ...spawner,
        spec: {
          ...spawner.spec,
          when: { cron: { schedule: '* * * * *' }, webhook: { source: 'x', fieldMapping: { id: '$.id' } } },
        },
      },
      'spec.when: exactly one source is required',
    ],
    [
      'a workspace remote called origin',
      'Workspace',
      {
        apiVersion: 'kelos.dev/v1alpha2',
        kind: 'Workspace',
        metadata: { name: 'w' },
        spec: { repo: 'https://x/y', remotes: [{ name: 'origin', url: 'https://x/z' }] },
      },
      "spec.remotes: remote name 'origin' is taken by the clone",
    ],
    [
      'a Secret value that is not base64',
      'Secret',
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, data: { k: 'hunter2' } },
      'data.k: must be base64 (use stringData for plain text)',
    ],
    [
      'a value nested without end',
      'Task',
      taskWith({
        podOverrides: { affinity: JSON.parse(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`) as unknown },
      }),
      `spec.podOverrides.affinity${'.a'.repeat(65)}: is nested more than 64 deep`,
    ],
  ])('%s', (_what, kind, object, line) => {
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
  it.each<[string, object, string]>([
    ['name', { name: 'A' }, 'metadata.name: must be lower-case letters, digits, "-" and "." (a DNS name)'],
    ['name', { name: 'a'.repeat(254) }, 'metadata.name: has 254 characters; at most 253 are allowed'],
    ['name', { name: undefined }, 'metadata.name: is required (or metadata.generateName)'],
    [
      'generateName',
      { name: undefined, generateName: 'A-' },
      'metadata.generateName: must be lower-case letters, digits, "-" and "." (a DNS name)',
    ],
    [
      'namespace',
      { namespace: 'a.b' },
      'metadata.namespace: must be lower-case letters, digits and "-", beginning and ending with a letter or digit',
    ],
    ['unknown', { lables: {} }, 'metadata.lables: unknown field: did you mean metadata.labels?'],
    ['labels', { labels: { a: 1 } }, 'metadata.labels.a: must be a string, not a number'],
    [
      'labels',
      { labels: { 'a/b/c': 'x' } },
      'metadata.labels["a/b/c"]: the key must be NAME or dns.name/NAME, where NAME is at most 63 letters, digits, "-", "_" and "."',
    ],
    [
      'labels',
      { labels: { '-x.io/a': 'x' } },
      'metadata.labels["-x.io/a"]: the key must have a DNS name before its "/"',
    ],
    [
      'labels',
      { labels: { 'a.io/b': 'has space' } },
      'metadata.labels["a.io/b"]: the value must be at most 63 letters, digits, "-", "_" and ".", or empty',
    ],
    [
      'annotations',
      { annotations: { a: 'ä'.repeat(131_072) } },
      'metadata.annotations: take 262145 bytes; all together may take 262144',
    ],
    [
      'finalizers',
      { finalizers: ['ok.io/x', 'not ok'] },
      'metadata.finalizers[1]: must be NAME or dns.name/NAME, where NAME is at most 63 letters, digits, "-", "_" and "."',
    ],
    [
      'ownerReferences',
      { ownerReferences: [{ kind: 'Task', name: 'x', uid: 'u' }] },
      'metadata.ownerReferences[0].apiVersion: is required',
    ],
  ])('refuses a bad %s', (_field, metadata, line) => {
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

  it.each([
    'http://hooks.example.com/',
    'HTTPS://hooks.example.com/',
    'https://',
    'https:///x',
    'https://user@hooks.example.com/',
    'https://user:password@hooks.example.com/',
    'https://hooks.example.com\\@evil.example/',
    'https://hooks.example.com/a\\b',
    'https://hooks.example.com/a b',
    'https://hooks.example.com/a\tb',
    'https://hooks.example.com/\n',
    ' https://hooks.example.com/',
    'ftp://hooks.example.com/',
    'hooks.example.com',
  ])('may not go to %j', (target) => {
    expect(faultsOf('TaskSpawner', withHooks([hook({ url: target })]))).toEqual([
      'spec.onCompletion.hooks[0].webhook.url: must be an https URL without user or password',
    ]);
  });

  it.each<[string, unknown, string]>([
    ['none', [], 'hooks: must have at least one entry'],
    [
      'nine',
      Array.from({ length: 9 }, (_, index) => ({ name: `a${index}`, webhook: { url } })),
      'hooks: has 9 entries; at most 8 are allowed',
    ],
    [
      'one name twice',
      [hook({ url }), hook({ url })],
      'hooks[1].name: is there twice: give each entry its own',
    ],
    [
      'a name that is no label',
      [hook({ url }, { name: 'a.b' })],
      'hooks[0].name: must be lower-case letters, digits and "-", beginning and ending with a letter or digit',
    ],
    ['no webhook', [{ name: 'a' }], 'hooks[0].webhook: is required'],
    ['no target', [hook({})], 'hooks[0].webhook: one of url and urlFrom is required'],
    [
      'two targets',
      [hook({ url, urlFrom: { secretKeyRef: { name: 'a', key: 'b' } } })],
      'hooks[0].webhook: url and urlFrom exclude each other',
    ],
    [
      'a phase that does not end a Task',
      [hook({ url }, { phases: ['Running'] })],
      'hooks[0].phases[0]: must be one of Succeeded, Failed, not "Running"',
    ],
    [
      'a phase twice',
      [hook({ url }, { phases: ['Failed', 'Failed'] })],
      'hooks[0].phases[1]: is there twice: give each entry its own',
    ],
    [
      'more attempts than there are',
      [hook({ url, retry: { maxAttempts: 21 } })],
      'hooks[0].webhook.retry.maxAttempts: is 21; must be at most 20',
    ],
    [
      'a content type without a template',
      [hook({ url, contentType: 'text/plain' })],
      'hooks[0].webhook: contentType goes with template',
    ],
  ])('may not be %s', (_what, hooks, line) => {
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
