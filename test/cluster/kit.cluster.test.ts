import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, it, onTestFinished } from 'vitest';
import { clusterAdmin, describeOnCluster, temporaryNamespace } from './kit/cluster.ts';
import { installDefinitions } from './kit/definitions.ts';
import type { KubeObject } from './kit/kube-object.ts';
import { processExists } from './kit/process-exists.ts';
import type { Pod } from './stand-in-node/pod.ts';

const examples = join(import.meta.dirname, '..', '..', 'examples');

interface Job extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** As long as a test may take, however busy the machine. */
const patience = { timeout: 50_000 };

const isFailed = ({ status }: Job): boolean =>
  status?.conditions?.some(({ type, status: holds }) => type === 'Failed' && holds === 'True') ?? false;

/** A Pod of one shell script, in which `$$` stands for `$`, as in every container's command. */
function podOf(namespace: string, name: string, script: string, spec: object = {}): Pod {
  const containers = [{ name: 'main', image: 'busybox', command: ['sh', '-c', script] }];
  return { metadata: { namespace, name }, spec: { restartPolicy: 'Never', containers, ...spec } };
}

const inPhase =
  (phase: string) =>
  ({ status }: Pod): boolean =>
    status?.phase === phase;

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'telos-test-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

describeOnCluster('a cluster for tests', () => {
  it('answers with its version', async () => {
    const version = JSON.parse(await clusterAdmin().raw('/version')) as { gitVersion: string };
    expect(version.gitVersion).toMatch(/^v1\.\d+/);
  });

  it('takes our CRDs and the examples', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    expect(await installDefinitions(admin)).toContain('deliveries.telos.dev');
    const files = readdirSync(examples).filter((name) => name.endsWith('.yaml'));
    const texts = files.map((name) => readFileSync(join(examples, name), 'utf8'));
    const applied = await Promise.all(texts.map((yaml) => admin.apply(yaml, namespace)));
    expect(applied.flat().map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['Task', 'TaskSpawner', 'Secret']),
    );
  });

  it('refuses a ServiceAccount what no role grants it, and grants what one does', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    const account = admin.as(await admin.serviceAccountToken(namespace, 'reader'));
    await expect(account.list('v1/secrets', { namespace })).rejects.toMatchObject({ reason: 'Forbidden' });
    await admin.apply(
      `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader }
rules: [{ apiGroups: [''], resources: [secrets], verbs: [list] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects: [{ kind: ServiceAccount, name: reader }]
`,
      namespace,
    );
    await expect
      .poll(() => account.list('v1/secrets', { namespace }).catch(() => undefined), patience)
      .toBeDefined();
    await account.close();
  });
});

describeOnCluster('a stand-in node', () => {
  const ofOurs = it.skipIf(!inject('cluster')?.standIn);

  ofOurs("runs a Job's Pod, tells how it ended, and shows what it wrote", async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    const { spec } = podOf(namespace, 'unused', 'echo hello; exit 3');
    const job = { metadata: { namespace, name: 'greeter' }, spec: { backoffLimit: 0, template: { spec } } };
    await admin.create('batch/v1/jobs', job);
    await admin.until<Job>('batch/v1/jobs', { namespace, name: 'greeter' }, isFailed);
    const pods = await admin.list<Pod>('v1/pods', { namespace, labelSelector: 'job-name=greeter' });
    const [pod] = pods.items;
    expect(pods.items).toHaveLength(1);
    expect(pod?.status?.containerStatuses?.[0]?.state).toMatchObject({
      terminated: { exitCode: 3, reason: 'Error' },
    });
    expect(await admin.log({ namespace, name: pod?.metadata.name ?? '' })).toBe('hello\n');
  });

  ofOurs('follows a log while the container writes it', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    // It waits for the test before its second line, so the first is seen while it runs.
    const go = join(await temporaryFolder(), 'go');
    execFileSync('mkfifo', [go]);
    await admin.create('v1/pods', podOf(namespace, 'talker', `echo one; cat "${go}"; printf three`));
    await admin.until<Pod>('v1/pods', { namespace, name: 'talker' }, inPhase('Running'));
    let seen = '';
    for await (const chunk of admin.followLog({ namespace, name: 'talker' }, { follow: true })) {
      seen += chunk;
      if (seen === 'one\n') await writeFile(go, 'two\n');
    }
    expect(seen).toBe('one\ntwo\nthree');
    const key = { namespace, name: 'talker' };
    expect(await admin.log(key, { tailLines: 2 })).toBe('two\nthree');
    expect(await admin.log(key, { timestamps: true, limitBytes: 12 })).toMatch(/^\d{4}-\d\d-\d\dT\d$/);
  });

  ofOurs('gives a container its environment, its files and its init containers first', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    await admin.apply(
      `
apiVersion: v1
kind: Secret
metadata: { name: key }
stringData: { token: s3cret }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: stand-in-files }
data:
  agent.sh: |
    #!/bin/sh
    echo "$TOKEN $POD $GREETING $1 $(cat prepared)"
---
apiVersion: v1
kind: Pod
metadata: { name: agent }
spec:
  restartPolicy: Never
  volumes: [{ name: work, emptyDir: {} }]
  initContainers:
    - name: prepare
      image: busybox
      command: [sh, -c, echo ready > prepared]
      workingDir: /work
      volumeMounts: [{ name: work, mountPath: /work }]
  containers:
    - name: main
      image: busybox
      command: [/agent.sh]
      args: ["for $(POD)"]
      workingDir: /work
      volumeMounts: [{ name: work, mountPath: /work }]
      env:
        - { name: TOKEN, valueFrom: { secretKeyRef: { name: key, key: token } } }
        - { name: POD, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
        - { name: GREETING, value: hello }
`,
      namespace,
    );
    await admin.until<Pod>('v1/pods', { namespace, name: 'agent' }, inPhase('Succeeded'));
    expect(await admin.log({ namespace, name: 'agent' })).toBe('s3cret agent hello for agent ready\n');
  });

  ofOurs('ends the process of a Pod that is deleted: politely, then by force', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    const script = `trap 'echo asked' TERM; echo $$$$; while :; do sleep 0.05; done`;
    await admin.create('v1/pods', podOf(namespace, 'stubborn', script));
    const key = { namespace, name: 'stubborn' };
    await admin.until<Pod>('v1/pods', key, inPhase('Running'));
    const log = admin.followLog(key, { follow: true });
    const pid = Number((await log.next()).value);
    expect(processExists(pid)).toBe(true);
    await admin.delete('v1/pods', key, { gracePeriodSeconds: 1 });
    expect((await log.next()).value).toBe('asked\n');
    await admin.untilGone('v1/pods', key);
    expect(processExists(pid)).toBe(false);
    await log.return();
  });

  ofOurs('ends a Pod that is deleted without grace at once', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    const key = { namespace, name: 'doomed' };
    await admin.create(
      'v1/pods',
      podOf(namespace, 'doomed', `trap '' TERM; echo $$$$; while :; do sleep 0.05; done`),
    );
    await admin.until<Pod>('v1/pods', key, inPhase('Running'));
    const log = admin.followLog(key, { follow: true });
    const pid = Number((await log.next()).value);
    await admin.delete('v1/pods', key, { gracePeriodSeconds: 0 });
    await expect.poll(() => processExists(pid), patience).toBe(false);
    await log.return();
  });

  ofOurs.each([
    ['runs past its deadline', 'sleep 60', { activeDeadlineSeconds: 1 }, { reason: 'DeadlineExceeded' }],
    ['is killed', 'kill -9 $$$$', {}, { containerStatuses: [{ state: { terminated: { exitCode: 137 } } }] }],
  ])('fails a Pod that %s', async (_what, script, spec, status) => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    await admin.create('v1/pods', podOf(namespace, 'failing', script, spec));
    const pod = await admin.until<Pod>('v1/pods', { namespace, name: 'failing' }, inPhase('Failed'));
    expect(pod.status).toMatchObject(status);
  });

  ofOurs.each([
    ['no command of its own', { image: 'telos', args: ['up'] }, 'CreateContainerError'],
    ['an image that is nowhere', { image: 'registry.invalid/agent', command: ['true'] }, 'ImagePullBackOff'],
    [
      'a Secret that is missing',
      { image: 'busybox', command: ['true'], envFrom: [{ secretRef: { name: 'missing' } }] },
      'CreateContainerConfigError',
    ],
  ])('says what a Pod with %s waits for', async (_what, container, reason) => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    const containers = [{ name: 'main', ...container }];
    await admin.create('v1/pods', podOf(namespace, 'waiting', '', { containers }));
    const { status } = await admin.until<Pod>('v1/pods', { namespace, name: 'waiting' }, ({ status }) => {
      const state = status?.containerStatuses?.[0]?.state;
      return state !== undefined && 'waiting' in state && state.waiting.reason === reason;
    });
    expect(status?.phase).toBe('Pending');
  });

  ofOurs('starts a container that failed again, when the Pod says so', async () => {
    const admin = clusterAdmin();
    const namespace = await temporaryNamespace(admin);
    const script = 'test -e been || { touch been; echo first; exit 1; }; echo second';
    await admin.create('v1/pods', podOf(namespace, 'again', script, { restartPolicy: 'OnFailure' }));
    const key = { namespace, name: 'again' };
    const pod = await admin.until<Pod>('v1/pods', key, inPhase('Succeeded'));
    expect(pod.status?.containerStatuses?.[0]?.restartCount).toBe(1);
    expect(await admin.log(key, { previous: true })).toBe('first\n');
    expect(await admin.log(key)).toBe('second\n');
  });
});
