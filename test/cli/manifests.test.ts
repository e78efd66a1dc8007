import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { accessRules } from '../../src/cli/manifests/access-rules.ts';
import { telos } from '../support/telos-program.ts';

interface Printed {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: ReturnType<typeof accessRules>;
}

/** What the command prints, as kubectl reads it. */
async function manifests(...args: readonly string[]): Promise<readonly Printed[]> {
  const { stdout, stderr, exitCode } = await telos(['manifests', ...args]);
  expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
  return parseAllDocuments(stdout, { version: '1.1' }).map((document) => document.toJS() as Printed);
}

const named = (objects: readonly Printed[]): readonly string[] =>
  objects.map(({ kind, metadata: { name, namespace } }) =>
    [kind, ...(namespace === undefined ? [] : [namespace]), name].join(' '),
  );

test('prints what a companion needs, and no CRD of Kelos', async () => {
  expect(named(await manifests())).toEqual([
    'CustomResourceDefinition deliveries.telos.dev',
    'Namespace telos-system',
    'ServiceAccount telos-system telos',
    'ClusterRole telos',
    'ClusterRoleBinding telos',
    'Role telos-system telos-leases',
    'RoleBinding telos-system telos-leases',
    'Service telos-system telos',
    'NetworkPolicy telos-system telos',
    'Deployment telos-system telos',
    'PodDisruptionBudget telos-system telos',
  ]);
});

test('prints all CRDs for a standalone installation, and the right to see whether Kelos is at work', async () => {
  const printed = named(await manifests('--mode', 'standalone'));
  expect(printed.filter((line) => /^(CustomR|ClusterRole )/.test(line))).toEqual([
    'CustomResourceDefinition tasks.kelos.dev',
    'CustomResourceDefinition taskspawners.kelos.dev',
    'CustomResourceDefinition workspaces.kelos.dev',
    'CustomResourceDefinition agentconfigs.kelos.dev',
    'CustomResourceDefinition deliveries.telos.dev',
    'ClusterRole telos',
    'ClusterRole telos-kelos-lease',
  ]);
});

test('grants rights in the watched namespaces only, whatever they are called', async () => {
  const objects = await manifests('-n', 'ops', '--watch-namespace', 'no,123', '--watch-namespace', 'no');
  const rights = objects.filter(({ kind }) => kind.includes('Role'));
  expect(named(rights)).toEqual([
    // Bound in no other place, it gives nothing there.
    'ClusterRole telos:ops',
    'RoleBinding no telos',
    'RoleBinding 123 telos',
    'Role ops telos-leases',
    'RoleBinding ops telos-leases',
  ]);
  const deployment = JSON.stringify(objects.find(({ kind }) => kind === 'Deployment'));
  expect(deployment).toContain('"--watch-namespace=no","--watch-namespace=123","--role-binding=telos"');
});

test('prints one List as JSON', async () => {
  const { stdout } = await telos([
    'manifests',
    '-o',
    'json',
    '--image',
    'registry.example.com/telos@sha256:0',
  ]);
  const list = JSON.parse(stdout) as { kind: string; items: readonly unknown[] };
  expect([list.kind, list.items.length]).toEqual(['List', 11]);
  expect(stdout).toContain('"image": "registry.example.com/telos@sha256:0"');
});

test.each([
  [['--mode', 'compagnon'], /--mode.*Did you mean companion/i],
  [['-n', 'No_Good'], /'No_Good' cannot be a namespace: --namespace: use at most 63/],
  [['--watch-namespace', 'a,B'], /--watch-namespace.*63 lower-case/],
])('refuses %j in one line, exit 2', async (args, message) => {
  const { stderr, stdout, exitCode } = await telos(['manifests', ...args]);
  expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 2 });
  expect(stderr).toMatch(message);
  expect(stderr.trimEnd()).not.toContain('\n');
});

test.each(['companion', 'standalone'] as const)(
  'a %s may get Secrets, not look for them, and everything is named',
  (mode) => {
    const rules = accessRules(mode);
    const secrets = rules.filter(({ resources }) => resources.includes('secrets'));
    expect(secrets.flatMap(({ verbs }) => verbs)).toEqual(['get']);
    expect(JSON.stringify(rules)).not.toContain('*');
    expect(
      rules
        .flatMap(({ resources }) => resources)
        .filter((resource) => /role|serviceaccount|exec/.test(resource)),
    ).toEqual([]);
  },
);

test('an engine on a file works on all of it', async () => {
  const { stderr, exitCode } = await telos([
    'up',
    '--watch-namespace',
    'a',
    '--store',
    'sqlite:/nowhere/x.db',
  ]);
  expect({ stderr, exitCode }).toEqual({
    stderr: 'error: a file is worked on as a whole: --watch-namespace: use it with --store kubernetes\n',
    exitCode: 2,
  });
});
