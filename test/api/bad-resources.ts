import type { Kind } from '../../src/api/kinds.ts';

export const task = {
  apiVersion: 'kelos.dev/v1alpha2',
  kind: 'Task',
  metadata: { name: 'a', namespace: 'default' },
  spec: { type: 'command', command: ['true'], prompt: 'p', env: [{ name: 'A', value: '1' }] },
};

export const spawner = {
  apiVersion: 'kelos.dev/v1alpha1',
  kind: 'TaskSpawner',
  metadata: { name: 's' },
  spec: {
    when: { cron: { schedule: '* * * * *' } },
    taskTemplate: { type: 'command', command: ['true'] },
  },
};

export function taskWith(spec: object, metadata: object = {}): object {
  return { ...task, metadata: { ...task.metadata, ...metadata }, spec: { ...task.spec, ...spec } };
}

export function withHooks(hooks: unknown): object {
  return { ...spawner, spec: { ...spawner.spec, onCompletion: { hooks } } };
}

export function hook(webhook: object, rest: object = {}): object {
  return { name: 'a', webhook, ...rest };
}

export const url = 'https://hooks.example.com/x';

/** What is wrong, of which kind, the resource, and what is said of it. */
export const badResources: readonly [string, Kind, unknown, string][] = [
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
  ['no metadata', 'Task', { ...task, metadata: undefined }, 'metadata: is required: give it at least a name'],
  ['no spec', 'Task', { ...task, spec: undefined }, 'spec: is required'],
  ['a wrong type', 'Task', taskWith({ prompt: 5 }), 'spec.prompt: must be a string, not a number'],
  ['null', 'Task', taskWith({ prompt: null }), 'spec.prompt: must be a string, not null'],
  ['a mapping for a list', 'Task', taskWith({ command: {} }), 'spec.command: must be a list, not a mapping'],
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
];

/** Metadata of a Task: which field is wrong, with what, and what is said of it. */
export const badMetadata: readonly [string, object, string][] = [
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
];

export const badHookUrls: readonly string[] = [
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
];

/** What is wrong, the hooks of a TaskSpawner, and what is said of them, below `spec.onCompletion`. */
export const badHooks: readonly [string, unknown, string][] = [
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
];
