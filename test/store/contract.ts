import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { apiVersionOf, type Draft, type Resource } from '../../src/api/kinds.ts';
import type { StoreErrorCode } from '../../src/store/errors.ts';
import { StoreError } from '../../src/store/errors.ts';
import type { Key, ResourceStore, WatchEvent, WatchOptions } from '../../src/store/store.ts';
import { until, untilGone } from '../support/until.ts';

/** A store to hold to the contract, and two namespaces of it in which nothing is. */
export interface ContractStore {
  readonly store: ResourceStore;
  readonly namespace: string;
  readonly otherNamespace: string;
  close(): Promise<void>;
}

/** What every ResourceStore does. It asserts nothing that a Kubernetes API server does not do too. */
export function storeContract(name: string, open: () => Promise<ContractStore>): void {
  describe(`${name} as a resource store`, () => {
    let store: ResourceStore;
    let namespace: string;
    let otherNamespace: string;
    let close: () => Promise<void>;

    beforeEach(async () => {
      const opened = await open();
      ({ store, namespace, otherNamespace } = opened);
      close = () => opened.close();
    });
    afterEach(() => close());

    const key = (name: string): Key => ({ namespace, name });
    const task = (name: string, metadata: Partial<Draft<'Task'>['metadata']> = {}): Draft<'Task'> =>
      taskDraft({ name, namespace, ...metadata });
    const createTask = (
      name: string,
      metadata: Partial<Draft<'Task'>['metadata']> = {},
    ): Promise<Resource<'Task'>> => store.create<'Task'>(task(name, metadata));
    const names = async (labelSelector?: string): Promise<string[]> =>
      (await store.list('Task', { namespace, labelSelector })).items.map((item) => item.metadata.name);
    const version = async (): Promise<string> => (await store.list('Task', { namespace })).resourceVersion;

    describe('create and get', () => {
      test('fills in what the store says and keeps what the user said', async () => {
        const before = Math.floor(Date.now() / 1000) * 1000;
        const created = await createTask('a', { labels: { team: 'blue' }, annotations: { note: 'é ✓' } });
        expect(created).toMatchObject({
          apiVersion: apiVersionOf('Task'),
          kind: 'Task',
          metadata: {
            name: 'a',
            namespace,
            labels: { team: 'blue' },
            annotations: { note: 'é ✓' },
            generation: 1,
          },
          spec: { type: 'command', command: ['true'] },
        });
        expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
        expect(created.metadata.resourceVersion).toMatch(/^[1-9]\d*$/);
        expect(created.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        expect(Date.parse(created.metadata.creationTimestamp)).toBeGreaterThanOrEqual(before - 5000);
        expect(await store.get('Task', key('a'))).toEqual(created);
      });

      test('ignores what only the store may say', async () => {
        const created = await createTask('a', {
          uid: '00000000-0000-4000-8000-000000000000',
          creationTimestamp: '2001-01-01T00:00:00Z',
          deletionTimestamp: '2001-01-01T00:00:00Z',
          generation: 7,
        });
        expect(created.metadata.uid).not.toBe('00000000-0000-4000-8000-000000000000');
        expect(created.metadata.creationTimestamp > '2020').toBe(true);
        expect(created.metadata.deletionTimestamp).toBeUndefined();
        expect(created.metadata.generation).toBe(1);
      });

      test('a name that is taken is AlreadyExists, in its namespace and kind only', async () => {
        await createTask('a');
        await refused('AlreadyExists', createTask('a'));
        await store.create<'Task'>(taskDraft({ name: 'a', namespace: otherNamespace }));
        await store.create<'Secret'>({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'a', namespace },
        });
      });

      test('generateName makes a name that is free', async () => {
        const drafts = [1, 2, 3].map(() =>
          store.create<'Task'>(taskDraft({ generateName: 'run-', namespace })),
        );
        const created = await Promise.all(drafts);
        for (const { metadata } of created) expect(metadata.name).toMatch(/^run-[a-z0-9]{5}$/);
        expect(new Set(created.map(({ metadata }) => metadata.name)).size).toBe(3);
      });

      test('what does not exist is NotFound', async () => {
        await refused('NotFound', store.get('Task', key('none')));
        await createTask('a');
        await refused('NotFound', store.get('Task', { namespace: otherNamespace, name: 'a' }));
        await refused('NotFound', store.get('Workspace', key('a')));
      });

      test('a resource that breaks its schema is Invalid and says where', async () => {
        const draft = { ...task('a'), spec: { type: 'command', command: 'true' } };
        const error = await refused('Invalid', store.create<'Task'>(draft as unknown as Draft<'Task'>));
        expect(error.faults.map((fault) => fault.path)).toContain('spec.command');
        expect(error.message).toContain('spec.command');
        await refused('Invalid', createTask('Not_A_Name'));
        await refused('Invalid', store.create<'Task'>(taskDraft({ namespace })));
        expect(await names()).toEqual([]);
      });

      test('metadata of the wrong shape is Invalid and says where', async () => {
        await createTask('there');
        const shapes: [string, unknown][] = [
          ['labels', 7],
          ['labels', { a: 1 }],
          ['labels', { a: 'not a value!' }],
          ['annotations', 'text'],
          ['finalizers', 'text'],
          ['finalizers', ['not a finalizer!']],
          ['ownerReferences', [{ name: 'half' }]],
        ];
        for (const [field, value] of shapes) {
          const metadata = { [field]: value };
          for (const write of [
            () => createTask('a', metadata),
            () => store.patch('Task', key('there'), { metadata }),
            () => store.update<'Task'>(task('there', metadata)),
          ]) {
            expect((await refused('Invalid', write())).message).toContain(`metadata.${field}`);
          }
        }
        await refused('Invalid', createTask(7 as unknown as string));
        await refused('Invalid', store.patch('Task', key('there'), { metadata: 'text' }));
      });

      test('unknown fields are left out', async () => {
        const draft = task('a');
        const odd = {
          ...draft,
          spec: { ...draft.spec, odd: 1 },
          odd: 2,
          metadata: { ...draft.metadata, odd: 3 },
        };
        const created = await store.create<'Task'>(odd);
        expect(JSON.stringify(created)).not.toContain('odd');
      });

      test('a rule that compares with the state before is held to on changes', async () => {
        await createTask('a');
        const change = store.patch('Task', key('a'), { spec: { command: ['false'] } });
        expect((await refused('Invalid', change)).message).toContain('cannot change');
      });

      test('a resourceVersion has no place in a new resource', async () => {
        await refused('Invalid', createTask('a', { resourceVersion: '1' }));
      });

      test('a status in the draft is ignored for kinds with a status subresource', async () => {
        const draft = { ...task('a'), status: { phase: 'Running' as const } };
        expect((await store.create<'Task'>(draft)).status).toBeUndefined();
      });

      test('both served versions are read, and one is written', async () => {
        const draft = { ...task('a'), apiVersion: 'kelos.dev/v1alpha1' };
        expect((await store.create<'Task'>(draft)).apiVersion).toBe('kelos.dev/v1alpha2');
        await refused('Invalid', store.create<'Task'>({ ...task('b'), apiVersion: 'kelos.dev/v7' }));
      });

      test('stringData of a Secret is folded into data', async () => {
        const secret = await store.create<'Secret'>({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 's', namespace },
          data: { a: 'b25l', b: 'dHdv' },
          stringData: { b: 'zwei', c: 'drei' },
        });
        expect(secret.data).toEqual({ a: 'b25l', b: 'endlaQ==', c: 'ZHJlaQ==' });
        expect(secret.stringData).toBeUndefined();
        expect(secret.type).toBe('Opaque');
        const patched = await store.patch('Secret', key('s'), { stringData: { a: '1' }, data: { b: null } });
        expect(patched.data).toEqual({ a: 'MQ==', c: 'ZHJlaQ==' });
      });

      test('what is given out is frozen', async () => {
        const created = await createTask('a', { labels: { a: 'b' } });
        const page = await store.list('Task', { namespace });
        const event = await first(store, { namespace, resourceVersion: await startOf(created) });
        for (const resource of [created, await store.get('Task', key('a')), page.items[0], event]) {
          expect(Object.isFrozen(resource)).toBe(true);
          expect(Object.isFrozen(resource?.metadata.labels)).toBe(true);
          expect(Object.isFrozen(resource?.spec.command)).toBe(true);
        }
      });

      test('what the caller does with its draft afterwards does not matter', async () => {
        const command = ['true'];
        const draft = { ...task('a'), spec: { type: 'command' as const, command } };
        const created = store.create<'Task'>(draft);
        command.push('later');
        expect((await created).spec.command).toEqual(['true']);
        command.push('even later');
        expect((await store.get('Task', key('a'))).spec.command).toEqual(['true']);
      });

      test('a dry run checks everything and stores nothing', async () => {
        const rehearsed = await store.create<'Task'>(task('a'), { dryRun: true });
        expect(rehearsed.metadata).toMatchObject({ name: 'a', namespace });
        await refused('NotFound', store.get('Task', key('a')));
        const created = await createTask('a');
        await refused('AlreadyExists', store.create<'Task'>(task('a'), { dryRun: true }));
        const patch = { metadata: { labels: { a: 'b' } } };
        const patched = await store.patch('Task', key('a'), patch, { dryRun: true });
        expect(patched.metadata.labels).toEqual({ a: 'b' });
        expect(await store.get('Task', key('a'))).toEqual(created);
        await refused('Invalid', store.patch('Task', key('a'), { spec: { suspend: 7 } }, { dryRun: true }));
      });
    });

    describe('update and patch', () => {
      test('an update replaces, and what the store says stays', async () => {
        const created = await createTask('a', { labels: { a: '1' }, annotations: { b: '2' } });
        const updated = await store.update<'Task'>({
          ...task('a', { labels: { c: '3' } }),
          spec: { ...created.spec, suspend: true },
        });
        const { uid, creationTimestamp } = created.metadata;
        expect(updated.metadata).toMatchObject({ uid, creationTimestamp, labels: { c: '3' }, generation: 2 });
        expect(updated.metadata.annotations).toBeUndefined();
        expect(updated.spec.suspend).toBe(true);
        expect(await store.get('Task', key('a'))).toEqual(updated);
        await refused('NotFound', store.update<'Task'>(task('none')));
      });

      test('an update of an old version is Conflict; without a version the last writer wins', async () => {
        const created = await createTask('a');
        const updated = await store.update<'Task'>({ ...created, spec: { ...created.spec, suspend: true } });
        await refused(
          'Conflict',
          store.update<'Task'>({ ...created, spec: { ...created.spec, suspend: false } }),
        );
        expect(await store.get('Task', key('a'))).toEqual(updated);
        const draft = { ...task('a'), spec: { ...created.spec, suspend: false } };
        expect((await store.update<'Task'>(draft)).spec.suspend).toBe(false);
        expect(
          (
            await store.update<'Task'>({
              ...updated,
              metadata: { ...updated.metadata, resourceVersion: await versionOf('a') },
            })
          ).spec.suspend,
        ).toBe(true);
      });

      test('an update of another resource of the same name is Conflict', async () => {
        const old = await createTask('a');
        await store.delete('Task', key('a'));
        await createTask('a');
        const { resourceVersion: _, ...metadata } = old.metadata;
        await refused('Conflict', store.update<'Task'>({ ...old, metadata }));
      });

      test('a merge patch merges objects, replaces arrays and removes by null', async () => {
        await createTask('a', {
          labels: { keep: '1', drop: '2' },
          finalizers: ['example.com/a', 'example.com/b'],
        });
        const patched = await store.patch('Task', key('a'), {
          metadata: { labels: { drop: null, add: '3' }, finalizers: ['example.com/b'] },
          spec: { suspend: true },
        });
        expect(patched.metadata.labels).toEqual({ keep: '1', add: '3' });
        expect(patched.metadata.finalizers).toEqual(['example.com/b']);
        expect(patched.spec).toMatchObject({ type: 'command', command: ['true'], suspend: true });
        await refused('NotFound', store.patch('Task', key('none'), {}));
      });

      test('a version or uid in a patch is a precondition', async () => {
        const { metadata } = await createTask('a');
        const { resourceVersion, uid } = metadata;
        const labelled = { labels: { a: '1' } };
        await store.patch('Task', key('a'), { metadata: { ...labelled, resourceVersion, uid } });
        await refused(
          'Conflict',
          store.patch('Task', key('a'), { metadata: { labels: { a: '2' }, resourceVersion } }),
        );
        await refused(
          'Conflict',
          store.patch('Task', key('a'), { metadata: { labels: { a: '2' }, uid: 'other' } }),
        );
        expect((await store.get('Task', key('a'))).metadata.labels).toEqual({ a: '1' });
      });

      test('metadata that only the store sets cannot be changed', async () => {
        const created = await createTask('a');
        const deleted = { deletionTimestamp: '2001-01-01T00:00:00Z' };
        await refused('Invalid', store.patch('Task', key('a'), { metadata: deleted }));
        // Some API servers refuse this one, some pass it over; none takes it.
        const older = store.patch('Task', key('a'), {
          metadata: { creationTimestamp: '2001-01-01T00:00:00Z' },
        });
        await older.catch((thrown: unknown) => expect(thrown).toBeInstanceOf(StoreError));
        const without = { creationTimestamp: null, generation: null };
        await store.patch('Task', key('a'), { metadata: without });
        expect(await store.get('Task', key('a'))).toEqual(created);
      });

      test('a change that breaks the schema is Invalid and changes nothing', async () => {
        const created = await createTask('a');
        const error = await refused('Invalid', store.patch('Task', key('a'), { spec: { suspend: 'yes' } }));
        expect(error.faults.map((fault) => fault.path)).toEqual(['spec.suspend']);
        expect(await store.get('Task', key('a'))).toEqual(created);
      });

      test('writing what is already there changes nothing: no version, no event', async () => {
        const created = await createTask('a', { labels: { a: '1' } });
        await store.patch('Task', key('a'), { metadata: { labels: { a: '1' } }, spec: { suspend: null } });
        await store.update<'Task'>(created);
        await store.patch('Task', key('a'), { status: {} }, { subresource: 'status' });
        await store.patch('Task', key('a'), { status: { phase: 'Running' } }, { subresource: 'status' });
        const running = await store.get('Task', key('a'));
        await store.patch('Task', key('a'), { status: { phase: 'Running' } }, { subresource: 'status' });
        expect(await store.get('Task', key('a'))).toEqual(running);
        await createTask('z');
        const events = await take(store, { namespace, resourceVersion: running.metadata.resourceVersion }, 1);
        expect(events.map(seen)).toEqual(['ADDED z']);
      });

      test('generation grows with changes outside metadata and status only', async () => {
        await createTask('a');
        const generation = async (): Promise<number | undefined> =>
          (await store.get('Task', key('a'))).metadata.generation;
        await store.patch('Task', key('a'), { metadata: { labels: { a: 'b' } } });
        await store.patch('Task', key('a'), { status: { phase: 'Running' } }, { subresource: 'status' });
        expect(await generation()).toBe(1);
        await store.patch('Task', key('a'), { spec: { suspend: true } });
        expect(await generation()).toBe(2);
      });

      test('writes handed over at once all take effect, each on the one before', async () => {
        await createTask('a');
        await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            store.patch('Task', key('a'), { metadata: { labels: { [`l${index}`]: 'x' } } }),
          ),
        );
        expect(Object.keys((await store.get('Task', key('a'))).metadata.labels ?? {})).toHaveLength(20);
      });

      test('one of two writers with the same version wins', async () => {
        const { metadata } = await createTask('a');
        const { resourceVersion } = metadata;
        const outcomes = await Promise.allSettled(
          ['1', '2'].map((a) =>
            store.patch('Task', key('a'), { metadata: { labels: { a }, resourceVersion } }),
          ),
        );
        expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      });
    });

    describe('the status subresource', () => {
      test('writes the status and nothing else', async () => {
        const created = await createTask('a', { labels: { a: '1' } });
        const patched = await store.patch(
          'Task',
          key('a'),
          { metadata: { labels: { a: '2' } }, spec: { suspend: true }, status: { phase: 'Running' } },
          { subresource: 'status' },
        );
        expect(patched.status).toEqual({ phase: 'Running' });
        expect(patched.spec).toEqual(created.spec);
        expect(patched.metadata.labels).toEqual({ a: '1' });
        const updated = await store.update<'Task'>(
          { ...task('a'), status: { phase: 'Failed', message: 'no' } },
          { subresource: 'status' },
        );
        expect(updated.status).toEqual({ phase: 'Failed', message: 'no' });
        expect(updated.metadata.labels).toEqual({ a: '1' });
      });

      test('other writes keep the status', async () => {
        await createTask('a');
        await store.patch('Task', key('a'), { status: { phase: 'Running' } }, { subresource: 'status' });
        await store.patch('Task', key('a'), { spec: { suspend: true }, status: { phase: 'Failed' } });
        await store.update<'Task'>(task('a'));
        expect((await store.get('Task', key('a'))).status).toEqual({ phase: 'Running' });
      });

      test('is checked, and takes a version as a precondition', async () => {
        const { metadata } = await createTask('a');
        const { resourceVersion } = metadata;
        const options = { subresource: 'status' } as const;
        await refused('Invalid', store.patch('Task', key('a'), { status: { phase: 'Dancing' } }, options));
        const patch = { metadata: { resourceVersion }, status: { phase: 'Running' } };
        await store.patch('Task', key('a'), patch, options);
        await refused('Conflict', store.patch('Task', key('a'), patch, options));
        await refused('NotFound', store.patch('Task', key('none'), { status: {} }, options));
      });

      test('is not there for kinds without one', async () => {
        await store.create<'Workspace'>({
          apiVersion: apiVersionOf('Workspace'),
          kind: 'Workspace',
          metadata: { name: 'w', namespace },
          spec: { repo: 'https://example.com/r.git' },
        });
        const patch = store.patch('Workspace', key('w'), { status: {} }, { subresource: 'status' });
        await refused('NotFound', patch);
      });
    });

    describe('delete', () => {
      test('takes a resource away and frees its name', async () => {
        const created = await createTask('a');
        const deleted = await store.delete('Task', key('a'));
        expect(deleted.metadata.uid).toBe(created.metadata.uid);
        await refused('NotFound', store.get('Task', key('a')));
        await refused('NotFound', store.delete('Task', key('a')));
        expect((await createTask('a')).metadata.uid).not.toBe(created.metadata.uid);
      });

      test('takes uid and version as preconditions', async () => {
        const { metadata } = await createTask('a');
        const { uid, resourceVersion } = metadata;
        await store.patch('Task', key('a'), { metadata: { labels: { a: 'b' } } });
        await refused('Conflict', store.delete('Task', key('a'), { uid: 'other' }));
        await refused('Conflict', store.delete('Task', key('a'), { resourceVersion }));
        await store.delete('Task', key('a'), { uid });
        await refused('NotFound', store.get('Task', key('a')));
      });

      test('with finalizers it is a mark; the resource goes with the last finalizer', async () => {
        await createTask('a', { finalizers: ['example.com/a', 'example.com/b'] });
        const marked = await store.delete('Task', key('a'));
        expect(marked.metadata.deletionTimestamp).toMatch(/Z$/);
        const finalizers = ['example.com/b'];
        const one = await store.patch('Task', key('a'), { metadata: { finalizers } });
        expect(one.metadata.deletionTimestamp).toBe(marked.metadata.deletionTimestamp);
        await store.patch('Task', key('a'), { metadata: { finalizers: null } });
        await refused('NotFound', store.get('Task', key('a')));
      });

      test('deleting once more changes nothing', async () => {
        await createTask('a', { finalizers: ['example.com/a'] });
        await store.delete('Task', key('a'));
        const marked = await store.get('Task', key('a'));
        await store.delete('Task', key('a'));
        expect(await store.get('Task', key('a'))).toEqual(marked);
      });

      test('while it is being deleted no finalizer can be added, and the mark cannot be taken back', async () => {
        await createTask('a', { finalizers: ['example.com/a'] });
        const { metadata } = await store.delete('Task', key('a'));
        const more = { finalizers: ['example.com/a', 'example.com/b'] };
        await refused('Invalid', store.patch('Task', key('a'), { metadata: more }));
        await store.patch('Task', key('a'), { metadata: { deletionTimestamp: null } });
        const { deletionTimestamp } = (await store.get('Task', key('a'))).metadata;
        expect(deletionTimestamp).toBe(metadata.deletionTimestamp);
      });

      test('while it is being deleted everything else can still be written', async () => {
        await createTask('a', { finalizers: ['example.com/a'] });
        await store.delete('Task', key('a'));
        await store.patch('Task', key('a'), { metadata: { annotations: { a: 'b' } } });
        await store.patch('Task', key('a'), { status: { phase: 'Failed' } }, { subresource: 'status' });
        expect(await store.get('Task', key('a'))).toMatchObject({
          metadata: { annotations: { a: 'b' }, finalizers: ['example.com/a'] },
          status: { phase: 'Failed' },
        });
      });
    });

    describe('owners', () => {
      test('a dependent goes after its last owner, and its own dependents after it', async () => {
        const [one, two] = [await createTask('one'), await createTask('two')];
        const child = await createTask('child', { ownerReferences: [ownerOf(one), ownerOf(two)] });
        await createTask('grandchild', { ownerReferences: [ownerOf(child)] });
        await createTask('stranger');
        await store.delete('Task', key('one'));
        await store.delete('Task', key('two'));
        await untilGone(store, 'Task', key('child'));
        await untilGone(store, 'Task', key('grandchild'));
        expect(await names()).toEqual(['stranger']);
      });

      test('a dependent with another owner stays', async () => {
        const [one, two] = [await createTask('one'), await createTask('two')];
        await createTask('both', { ownerReferences: [ownerOf(one), ownerOf(two)] });
        await createTask('only', { ownerReferences: [ownerOf(one)] });
        await store.delete('Task', key('one'));
        await untilGone(store, 'Task', key('only'));
        expect(await names()).toEqual(['both', 'two']);
      });

      test('owners are told apart by uid: a new one of the same name is another', async () => {
        const old = await createTask('owner');
        await store.delete('Task', key('owner'));
        await createTask('owner');
        await createTask('child', { ownerReferences: [ownerOf(old)] });
        await untilGone(store, 'Task', key('child'));
      });

      test('a dependent with finalizers is marked, and goes with the last one', async () => {
        const owner = await createTask('owner');
        await createTask('child', { ownerReferences: [ownerOf(owner)], finalizers: ['example.com/a'] });
        await store.delete('Task', key('owner'));
        const marked = (child: Resource<'Task'>): boolean => child.metadata.deletionTimestamp !== undefined;
        await until(store, 'Task', key('child'), marked);
        await store.patch('Task', key('child'), { metadata: { finalizers: null } });
        await refused('NotFound', store.get('Task', key('child')));
      });
    });

    describe('list', () => {
      test('is ordered by name and keeps to its namespace and kind', async () => {
        for (const name of ['b', 'a-b', 'a.b', 'a', 'c']) await createTask(name);
        await store.create<'Task'>(taskDraft({ name: 'x', namespace: otherNamespace }));
        expect(await names()).toEqual(['a', 'a-b', 'a.b', 'b', 'c']);
        const all = (await store.list('Task')).items
          .filter((item) => [namespace, otherNamespace].includes(item.metadata.namespace))
          .map((item) => `${item.metadata.namespace}/${item.metadata.name}`);
        const here = ['a', 'a-b', 'a.b', 'b', 'c'].map((name) => `${namespace}/${name}`);
        const expected =
          namespace < otherNamespace ? [...here, `${otherNamespace}/x`] : [`${otherNamespace}/x`, ...here];
        expect(all).toEqual(expected);
        expect((await store.list('Workspace', { namespace })).items).toEqual([]);
      });

      test('selects by labels as Kubernetes does', async () => {
        await createTask('a', { labels: { app: 'web', tier: 'front' } });
        await createTask('b', { labels: { app: 'web', tier: 'back' } });
        await createTask('c', { labels: { app: 'db', 'example.com/x': '' } });
        await createTask('d');
        const cases: Record<string, string[]> = {
          'app=web': ['a', 'b'],
          'app==web,tier=back': ['b'],
          'app!=web': ['c', 'd'],
          'app in (web, db)': ['a', 'b', 'c'],
          'tier notin (front)': ['b', 'c', 'd'],
          app: ['a', 'b', 'c'],
          '!app': ['d'],
          'app,tier notin (front,back)': ['c'],
          'example.com/x=': ['c'],
          'app=web,tier in (front),!example.com/x': ['a'],
          '': ['a', 'b', 'c', 'd'],
          'app=none': [],
        };
        for (const [selector, expected] of Object.entries(cases)) {
          expect(await names(selector), selector).toEqual(expected);
        }
        await store.patch('Task', key('a'), { metadata: { labels: { app: 'db' } } });
        await store.delete('Task', key('c'));
        expect(await names('app=db')).toEqual(['a']);
      });

      test('a selector that cannot be read is Invalid', async () => {
        for (const labelSelector of ['a=b=c', 'a in b', '=b', 'a=ü', 'a b']) {
          await refused('Invalid', store.list('Task', { namespace, labelSelector }));
        }
      });

      test('comes in pages, each resource once', async () => {
        const all = Array.from({ length: 7 }, (_, index) => `t${index}`);
        await Promise.all(all.map((name) => createTask(name, { labels: { a: 'b' } })));
        for (const labelSelector of [undefined, 'a=b', 'a', 'x!=y']) {
          for (const limit of [1, 3, 7, 10]) {
            const pages = await allPages(store, { namespace, limit, labelSelector });
            expect(pages.flat()).toEqual(all);
            for (const page of pages.slice(0, -1)) expect(page).toHaveLength(limit);
          }
        }
      });

      test('pages after changes show the state of the first page', async () => {
        for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await createTask(name, { labels: { on: 'y' } });
        for (const labelSelector of [undefined, 'on=y']) {
          const first = await store.list('Task', { namespace, limit: 2, labelSelector });
          await store.delete('Task', key('c'));
          await createTask('bb', { labels: { on: 'y' } });
          await store.patch('Task', key('d'), { metadata: { labels: { on: 'n' } } });
          await store.patch('Task', key('e'), { metadata: { labels: { extra: '1' } } });
          const rest = await store.list('Task', { namespace, labelSelector, continue: first.continue });
          const shown = [...first.items, ...rest.items];
          expect(shown.map((item) => item.metadata.name)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
          expect(shown.every((item) => item.metadata.labels?.['extra'] === undefined)).toBe(true);
          expect(rest.resourceVersion).toBe(first.resourceVersion);
          await store.delete('Task', key('bb'));
          await createTask('c', { labels: { on: 'y' } });
          await store.patch('Task', key('d'), { metadata: { labels: { on: 'y' } } });
          await store.patch('Task', key('e'), { metadata: { labels: { extra: null } } });
        }
      });

      test('a token that no list gave is refused', async () => {
        for (const token of ['nonsense', '!', 'e30']) {
          const list = store.list('Task', { namespace, limit: 1, continue: token });
          await expect(list).rejects.toBeInstanceOf(StoreError);
        }
      });
    });

    describe('watch', () => {
      test('shows every change after the version, in order, each with its state', async () => {
        const resourceVersion = await version();
        await createTask('a');
        await createTask('b');
        await store.patch('Task', key('a'), { status: { phase: 'Running' } }, { subresource: 'status' });
        await store.patch('Task', key('a'), { status: { phase: 'Failed' } }, { subresource: 'status' });
        await store.delete('Task', key('a'));
        const events = await take(store, { namespace, resourceVersion }, 5);
        expect(events.map(seen)).toEqual(['ADDED a', 'ADDED b', 'MODIFIED a', 'MODIFIED a', 'DELETED a']);
        const resources = events.map((event) => ('resource' in event ? event.resource : undefined));
        expect(resources.slice(2).map((resource) => resource?.status?.phase)).toEqual([
          'Running',
          'Failed',
          'Failed',
        ]);
        const versions = resources.map((resource) => Number(resource?.metadata.resourceVersion));
        expect(versions).toEqual([...versions].sort((a, b) => a - b));
        expect(new Set(versions).size).toBe(5);
      });

      test('shows changes that are made while it waits', async () => {
        const events = take(store, { namespace, resourceVersion: await version() }, 3);
        await createTask('a');
        await store.patch('Task', key('a'), { metadata: { labels: { a: 'b' } } });
        await store.delete('Task', key('a'));
        expect((await events).map(seen)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
      });

      test('goes on from the version of any event', async () => {
        const resourceVersion = await version();
        for (const name of ['a', 'b', 'c', 'd']) await createTask(name);
        const events = await take(store, { namespace, resourceVersion }, 4);
        for (const [index, event] of events.entries()) {
          const from = 'resource' in event ? event.resource.metadata.resourceVersion : '';
          await createTask(`z${index}`);
          const rest = await take(store, { namespace, resourceVersion: from }, 3 - index + 1);
          expect(rest.map(seen).slice(0, 3 - index)).toEqual(events.slice(index + 1).map(seen));
        }
      });

      test('keeps to its namespace and kind', async () => {
        const resourceVersion = await version();
        await store.create<'Task'>(taskDraft({ name: 'x', namespace: otherNamespace }));
        await store.create<'Secret'>({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 's', namespace },
        });
        await createTask('a');
        expect((await take(store, { namespace, resourceVersion }, 1)).map(seen)).toEqual(['ADDED a']);
        const everywhere = await take(store, { resourceVersion }, 2);
        expect(everywhere.map(seen)).toEqual(['ADDED x', 'ADDED a']);
      });

      test('with a selector shows what begins to match as ADDED and what stops as DELETED', async () => {
        const resourceVersion = await version();
        const on = (name: string, value: string | null): Promise<unknown> =>
          store.patch('Task', key(name), { metadata: { labels: { on: value } } });
        const live = take(store, { namespace, resourceVersion, labelSelector: 'on=y' }, 6);
        await createTask('a', { labels: { on: 'n' } });
        await createTask('b', { labels: { on: 'y' } });
        await on('a', 'y');
        await store.patch('Task', key('a'), { spec: { suspend: true } });
        await on('a', null);
        await store.patch('Task', key('a'), { spec: { suspend: false } });
        await store.delete('Task', key('a'));
        await on('b', 'n');
        await createTask('c', { labels: { on: 'y' } });
        const expected = ['ADDED b', 'ADDED a', 'MODIFIED a', 'DELETED a', 'DELETED b', 'ADDED c'];
        expect((await live).map(seen)).toEqual(expected);
        const later = await take(store, { namespace, resourceVersion, labelSelector: 'on=y' }, 6);
        expect(later.map(seen)).toEqual(expected);
      });

      test('begins where a list ended without a gap', async () => {
        const page = await store.list('Task', { namespace });
        const writes = Array.from({ length: 30 }, (_, index) => createTask(`t${index}`));
        const events = await take(store, { namespace, resourceVersion: page.resourceVersion }, 30);
        await Promise.all(writes);
        expect(new Set(events.map(seen)).size).toBe(30);
      });

      test('ends when the signal aborts, also while it waits', async () => {
        const abort = new AbortController();
        const resourceVersion = await version();
        const all: string[] = [];
        const watching = (async () => {
          for await (const event of store.watch('Task', {
            namespace,
            resourceVersion,
            signal: abort.signal,
          })) {
            all.push(seen(event));
            abort.abort();
          }
        })();
        await createTask('a');
        await watching;
        expect(all).toEqual(['ADDED a']);
        for await (const event of store.watch('Task', { namespace, resourceVersion, signal: abort.signal })) {
          expect.unreachable(`an event after the abort: ${seen(event)}`);
        }
      });

      test('ends when the consumer leaves while it waits', async () => {
        const events = store.watch('Task', { namespace, resourceVersion: await version() });
        const iterator = events[Symbol.asyncIterator]();
        const next = iterator.next();
        await iterator.return?.();
        expect((await next).done).toBe(true);
      });

      test('a version that is none is refused', async () => {
        const watching = take(store, { namespace, resourceVersion: 'now' }, 1);
        await expect(watching).rejects.toBeInstanceOf(StoreError);
      });
    });

    test('calls whose signal has aborted are refused with its reason', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(store.get('Task', key('a'), { signal })).rejects.toBe(reason);
      await expect(store.list('Task', { signal })).rejects.toBe(reason);
      await expect(store.create<'Task'>(task('a'), { signal })).rejects.toBe(reason);
      expect(await names()).toEqual([]);
    });

    test('ping resolves while the store can be read', async () => {
      await store.ping();
    });

    async function versionOf(name: string): Promise<string> {
      return (await store.get('Task', key(name))).metadata.resourceVersion;
    }

    /** A version just before a resource was made. */
    async function startOf(resource: Resource<'Task'>): Promise<string> {
      return String(Number(resource.metadata.resourceVersion) - 1);
    }
  });
}

/** A Task that every store takes. */
export function taskDraft(metadata: Draft<'Task'>['metadata']): Draft<'Task'> {
  return {
    apiVersion: apiVersionOf('Task'),
    kind: 'Task',
    metadata,
    spec: { type: 'command', command: ['true'] },
  };
}

/** The reference by which a dependent names its owner. */
export function ownerOf(owner: Resource): { apiVersion: string; kind: string; name: string; uid: string } {
  const { name, uid } = owner.metadata;
  return { apiVersion: owner.apiVersion, kind: owner.kind, name, uid };
}

/** The first changes that a watch of Tasks shows; bookmarks are passed over. */
export async function take(
  store: ResourceStore,
  options: WatchOptions,
  count: number,
): Promise<WatchEvent<'Task'>[]> {
  const events: WatchEvent<'Task'>[] = [];
  for await (const event of store.watch('Task', options)) {
    if (event.type !== 'BOOKMARK') events.push(event);
    if (events.length === count) return events;
  }
  throw new Error(`the watch ended after ${events.length} of ${count} events`);
}

/** An event as a short text. */
export function seen(event: WatchEvent<'Task'>): string {
  return event.type === 'BOOKMARK' ? event.type : `${event.type} ${event.resource.metadata.name}`;
}

/** The StoreError that a promise is rejected with; fails when its code is another. */
export async function refused(code: StoreErrorCode, promise: Promise<unknown>): Promise<StoreError> {
  const outcome = await promise.then(
    () => 'no error',
    (thrown: unknown) => thrown,
  );
  expect(outcome).toBeInstanceOf(StoreError);
  const error = outcome as StoreError;
  expect({ code: error.code, message: error.message }).toEqual({ code, message: error.message });
  expect(error.message).not.toContain('\n');
  return error;
}

async function first(store: ResourceStore, options: WatchOptions): Promise<Resource<'Task'> | undefined> {
  const [event] = await take(store, options, 1);
  return event !== undefined && 'resource' in event ? event.resource : undefined;
}

async function allPages(
  store: ResourceStore,
  options: { namespace: string; limit: number; labelSelector: string | undefined },
): Promise<string[][]> {
  const pages: string[][] = [];
  let token: string | undefined;
  do {
    const page = await store.list('Task', { ...options, continue: token });
    pages.push(page.items.map((item) => item.metadata.name));
    token = page.continue;
  } while (token !== undefined);
  return pages;
}
