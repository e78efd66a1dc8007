import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkManifest, formatFault, parseManifests } from '../../src/api/manifest.ts';

/** Every fault of a manifest file, as people see it. */
function linesOf(text: string | Uint8Array): string[] {
  const { documents, faults } = parseManifests(text, 'f.yaml');
  return [...faults, ...documents.flatMap((document) => checkManifest(document).faults)].map(formatFault);
}

const task = `
apiVersion: kelos.dev/v1alpha2
kind: Task
metadata:
  name: a
spec:
  type: command
  command: ["true"]
`.trimStart();

const spawner = `
apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata:
  name: s
spec:
  when:
    cron: {schedule: "0 6 * * *"}
  taskTemplate:
    type: command
    command: ["true"]
`.trimStart();

const known =
  'task.task, task.namespace, task.spawner, task.phase, task.message, task.agentType, task.model, task.startTime, task.completionTime, task.outputs, task.results, task.truncated';

describe('a good manifest', () => {
  it('gives the draft of its resource', () => {
    const { documents, faults } = parseManifests(task, 'f.yaml');
    expect(faults).toEqual([]);
    const [document] = documents;
    expect(document && checkManifest(document)).toEqual({
      kind: 'Task',
      draft: {
        apiVersion: 'kelos.dev/v1alpha2',
        kind: 'Task',
        metadata: { name: 'a' },
        spec: { type: 'command', command: ['true'] },
      },
      faults: [],
    });
  });

  it('may be JSON, begin with a byte order mark, end lines with CR LF, and leave the name to the store', () => {
    const json =
      '{"apiVersion":"v1","kind":"Secret","metadata":{"generateName":"a-"},"stringData":{"k":"v"}}';
    expect(linesOf(json)).toEqual([]);
    expect(linesOf(Buffer.from(`\uFEFF${task}`))).toEqual([]);
    expect(linesOf(`\uFEFF${task}`)).toEqual([]);
    expect(linesOf(task.replaceAll('\n', '\r\n'))).toEqual([]);
  });

  it('may hold several documents, empty ones, and a List', () => {
    const list = `apiVersion: v1\nkind: List\nitems:\n${task.replace(/^/gm, '  ').replace('  ', '- ').trimEnd()}\n`;
    const { documents, faults } = parseManifests(`${task}---\n---\n# nothing\n---\n${list}`, 'f.yaml');
    expect(faults).toEqual([]);
    expect(documents.map(({ index, object }) => [index, object['kind']])).toEqual([
      [0, 'Task'],
      [1, 'Task'],
    ]);
    expect(documents.map((document) => document.locate('spec.command[0]').line)).toEqual([7, 21]);
  });

  it('may use anchors, each as it was where the alias stands', () => {
    const { documents } = parseManifests('a: &x 1\nb: &y [*x]\nc: &x 2\nd: [*x, *y]\n', 'f.yaml');
    expect(documents[0]?.object).toEqual({ a: 1, b: [1], c: 2, d: [2, [1]] });
  });

  it('is YAML 1.2: yes is a text and 0755 is decimal', () => {
    const { documents } = parseManifests('a: yes\nb: 0755\nc: null\n1: d\n__proto__: {e: 1}\n', 'f.yaml');
    expect(JSON.stringify(documents[0]?.object)).toBe(
      '{"1":"d","a":"yes","b":755,"c":null,"__proto__":{"e":1}}',
    );
  });

  it('may nest 64 deep, and hold any bracket in texts and comments', () => {
    const deep = (levels: number): string => `a: ${'['.repeat(levels)}${']'.repeat(levels)}`;
    expect(parseManifests(deep(63), 'f.yaml').faults).toEqual([]);
    const brackets = '['.repeat(1000);
    const texts = `# ${brackets}\na: "${brackets}"\nb: '${brackets}'\nc: x${brackets}\nd: |\n  ${brackets}\n`;
    expect(parseManifests(texts, 'f.yaml').faults).toEqual([]);
  });
});

describe('a bad manifest', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['an empty file', '', 'f.yaml: holds no resource: write at least apiVersion, kind and metadata'],
    [
      'only comments',
      '# a\n---\n# b\n',
      'f.yaml: holds no resource: write at least apiVersion, kind and metadata',
    ],
    ['10 MB', 'a'.repeat(10 * 1024 * 1024), 'f.yaml: is 10.0 MiB; manifests may be 4 MiB at most'],
    [
      '10 MB of bytes',
      new Uint8Array(10 * 1024 * 1024),
      'f.yaml: is 10.0 MiB; manifests may be 4 MiB at most',
    ],
    ['20,000 brackets', '['.repeat(20_000), 'f.yaml:1:67: nests more than 64 deep'],
    ['20,000 braces', '{a: '.repeat(20_000), 'f.yaml:1:262: nests more than 64 deep'],
    ['20,000 dashes', '- '.repeat(20_000), 'f.yaml:1:132: nests more than 64 deep'],
    ['20,000 question marks', '? '.repeat(20_000), 'f.yaml:1:132: nests more than 64 deep'],
    [
      '2,000 indents',
      Array.from({ length: 2000 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join(''),
      'f.yaml:66:67: nests more than 64 deep',
    ],
    [
      'brackets behind a quote that plain text holds',
      `a: it's\n  "x\nb: ${'["]",'.repeat(20_000)}`,
      'f.yaml:3:325: nests more than 64 deep',
    ],
    [
      'half a million values',
      `[${'1,'.repeat(500_000)}]`,
      'f.yaml:1:333334: holds more than 500000 words and signs: split it into several files',
    ],
    [
      'a program',
      Buffer.from('\x7fELF\x02\x01\x01\x00'),
      'f.yaml:1:1: holds the control character 0x7f: a manifest is text, YAML or JSON',
    ],
    ['NUL', 'a: b\nc: \0', 'f.yaml:2:4: holds the control character 0x00: a manifest is text, YAML or JSON'],
    ['UTF-16', Buffer.from('\uFEFFa: b', 'utf16le'), 'f.yaml: is not UTF-8 text: a manifest is YAML or JSON'],
    ['a tab', 'kind: Task\nspec:\n\ta: 1\n', 'f.yaml:3:1: a tab cannot indent: use spaces'],
    ['a key twice', `${task}kind: Task\n`, 'f.yaml:8:1: kind: is there twice: remove one of them'],
    [
      'a key twice, deep in JSON',
      '{"a": [{"b": 1, "b": 2}]}',
      'f.yaml:1:17: a[0].b: is there twice: remove one of them',
    ],
    ['a key that is a list', '? [a]\n: b\n', 'f.yaml:1:3: a key must be a string'],
    [
      'a bomb of aliases',
      `a: &a [${'x,'.repeat(10)}]\n${Array.from(
        { length: 9 },
        (_, index) => `b${index}: &b${index} [${`*${index === 0 ? 'a' : `b${index - 1}`},`.repeat(10)}]`,
      ).join('\n')}`,
      'f.yaml:1:14: holds more than 500000 values, aliases followed',
    ],
    ['an alias of itself', 'a: &a [*a, *a]', 'f.yaml:1:7: nests more than 64 deep, aliases followed'],
    [
      'an alias of nothing',
      'a: *b',
      'f.yaml:1:4: a: refers to nothing that stands above it: put a text that begins with "*" in quotes',
    ],
    [
      'an unknown tag, which would swallow the text',
      'a: !b',
      'f.yaml:1:4: has a tag that means nothing here: put a text that begins with "!" in quotes, or remove the tag',
    ],
    ['not a number', 'a: .nan', 'f.yaml:1:4: a: is not a number that JSON has: put it in quotes'],
    [
      'binary in YAML',
      'a: !!binary aGk=',
      'f.yaml:1:13: a: has a tag that means nothing here: remove the tag',
    ],
    ['an open quote', 'a: "b\n', 'f.yaml:2:1: is not YAML: Missing closing "quote'],
    [
      'a text with a colon',
      'a: b: c\n',
      'f.yaml:1:4: a mapping cannot begin here: put a text that holds ": " in quotes, or mend the indent',
    ],
    ['broken JSON', '{"a" 1}', 'f.yaml:1:6: is not YAML: Missing , or : between flow map items'],
    ['a list', '- a\n', 'f.yaml:1:1: must be a mapping with apiVersion, kind and metadata'],
    ['prose', 'Hello, world!\n', 'f.yaml:1:1: must be a mapping with apiVersion, kind and metadata'],
    [
      'no kind',
      'apiVersion: v1\n',
      'f.yaml:1:1: kind: is required: use one of Task, TaskSpawner, Workspace, AgentConfig, Delivery, Secret, Event',
    ],
    [
      'a kind that is a number',
      'kind: 1\n',
      'f.yaml:1:1: kind: must be a string: use one of Task, TaskSpawner, Workspace, AgentConfig, Delivery, Secret, Event',
    ],
    ['a mistyped kind', 'kind: TaskSpwner\n', 'f.yaml:1:1: kind: is not known: did you mean TaskSpawner?'],
    ['a kind in lower case', 'kind: tasks\n', 'f.yaml:1:1: kind: is not known: did you mean Task?'],
    [
      'a mistyped apiVersion',
      task.replace('v1alpha2', 'v1alhpa2'),
      'f.yaml:1:1: apiVersion: must be kelos.dev/v1alpha1 or kelos.dev/v1alpha2: did you mean kelos.dev/v1alpha2?',
    ],
    [
      'no name',
      task.replace('name: a', '{}'),
      'f.yaml:3:1: metadata.name: is required (or metadata.generateName)',
    ],
    [
      'a mistyped field',
      `${task}  promt: x\n`,
      'f.yaml:8:3: spec.promt: unknown field: did you mean spec.prompt?',
    ],
    [
      'a field of a wrong type',
      `${task}  env:\n  - name: A\n    value: 5\n`,
      'f.yaml:10:5: spec.env[0].value: must be a string, not a number',
    ],
    [
      'a field that is missing',
      `${task}  env:\n  - name: A\n  - value: b\n`,
      'f.yaml:10:5: spec.env[1].name: is required',
    ],
    [
      'a broken rule',
      task.replace('type: command', 'type: codex\n  prompt: p'),
      'f.yaml:8:3: spec.command: goes with type: command',
    ],
    [
      'a hook that is not https',
      `${spawner}  onCompletion:\n    hooks:\n    - name: a\n      webhook:\n        url: http://x/\n`,
      'f.yaml:15:9: spec.onCompletion.hooks[0].webhook.url: must be an https URL without user or password',
    ],
    [
      'a filter that is not CEL',
      `${spawner}  onCompletion:\n    hooks:\n    - name: a\n      filter: task.phase ==\n      webhook: {url: "https://x/"}\n`,
      'f.yaml:14:7: spec.onCompletion.hooks[0].filter: is not a CEL expression: 1:12: found = but expecting end of input',
    ],
    [
      'a filter over an unknown variable',
      `${spawner}  onCompletion:\n    hooks:\n    - name: a\n      filter: phase == "Failed"\n      webhook: {url: "https://x/"}\n`,
      `f.yaml:14:7: spec.onCompletion.hooks[0].filter: does not know phase; known: ${known}`,
    ],
    [
      'a filter over what no payload has, in an annotation',
      task.replace(
        '  name: a\n',
        `  name: a\n  annotations:\n    kelos.dev/on-completion: '[{"name":"x","filter":"task.outputs.exists(o, o == task.fase)","webhook":{"url":"https://x/"}}]'\n`,
      ),
      `f.yaml:6:5: metadata.annotations["kelos.dev/on-completion"]: hooks[0].filter: does not know task.fase; known: ${known}`,
    ],
    [
      'a hooks annotation that is not JSON',
      task.replace('  name: a\n', '  name: a\n  annotations:\n    kelos.dev/on-completion: "{}}"\n'),
      'f.yaml:6:5: metadata.annotations["kelos.dev/on-completion"]: must be JSON: the list of hooks that spec.onCompletion.hooks would hold',
    ],
    [
      'a hooks annotation with a bad hook',
      task.replace(
        '  name: a\n',
        `  name: a\n  annotations:\n    kelos.dev/on-completion: '[{"name":"x","webhook":{"url":"http://x/"}}]'\n`,
      ),
      'f.yaml:6:5: metadata.annotations["kelos.dev/on-completion"]: hooks[0].webhook.url: must be an https URL without user or password',
    ],
    [
      'a text that would drive a terminal',
      `${task}  "\\e[31mred": x\n`,
      'f.yaml:8:3: spec["\\u001b[31mred"]: unknown field: remove it',
    ],
  ])('that is or has %s says so in one line', (_what, text, line) => {
    expect(linesOf(text)).toEqual([line]);
  });

  it('tells every fault of every resource, in the order of the lines', () => {
    const text = `${task}  promt: x\n---\nkind: Tusk\n---\n- a\n`;
    expect(linesOf(`${text}---\n${task.replace('name: a', 'name: A')}  modle: x\n`)).toEqual([
      'f.yaml:12:1: must be a mapping with apiVersion, kind and metadata',
      'f.yaml:8:3: spec.promt: unknown field: did you mean spec.prompt?',
      'f.yaml:10:1: kind: is not known: did you mean Task?',
      'f.yaml:17:3: metadata.name: must be lower-case letters, digits, "-" and "." (a DNS name)',
      'f.yaml:21:3: spec.modle: unknown field: did you mean spec.model?',
    ]);
  });

  it('gives no draft', () => {
    const [document] = parseManifests(`${task}  promt: x\n`, 'f.yaml').documents;
    expect(document && checkManifest(document)).toMatchObject({ kind: 'Task', draft: undefined });
  });

  it('finds its faults in a List where they stand', () => {
    const text =
      'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n  dta: {}\n- 5\n';
    expect(linesOf(text)).toEqual([
      'f.yaml:8:3: must be a mapping with apiVersion, kind and metadata',
      'f.yaml:7:3: dta: unknown field: did you mean data?',
    ]);
  });
});

describe('any text', () => {
  const snippet = fc.constantFrom(
    ...[
      'apiVersion: v1\n',
      'kind: Task\n',
      'spec:\n',
      '  a: 1\n',
      '- ',
      '? ',
      ': ',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
    ],
    ...[
      '|\n',
      '>-\n',
      '&a ',
      '*a',
      '---\n',
      '...\n',
      '#',
      '\t',
      '\n',
      '%YAML 1.1\n',
      '!!map ',
      '!x ',
      ',',
      'é',
    ],
  );

  it('is read without an exception, and every fault has a place in it', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(snippet, fc.string()), { maxLength: 40 }), (parts) => {
        const text = parts.join('');
        const lineCount = text.split(/\r\n|\r|\n/).length;
        const { documents, faults } = parseManifests(text, 'f.yaml');
        for (const fault of [...faults, ...documents.flatMap((document) => checkManifest(document).faults)]) {
          expect(formatFault(fault)).toMatch(/^f\.yaml[^\n\r]+$/);
          expect(fault.line).toBeLessThanOrEqual(lineCount);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('of bytes is read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => parseManifests(bytes, 'f.yaml')).not.toThrow();
      }),
      { numRuns: 200 },
    );
  });

  it('that JSON.stringify writes is read back as it was', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { minKeys: 1 }), (object) => {
        fc.pre(object['kind'] !== 'List');
        const text = JSON.stringify(object);
        fc.pre(!/\x7f/.test(text) && text.length < 1000);
        const { documents, faults } = parseManifests(text, 'f.yaml');
        expect(faults).toEqual([]);
        expect(JSON.parse(JSON.stringify(documents[0]?.object))).toEqual(JSON.parse(text));
      }),
      { numRuns: 200 },
    );
  });
});
