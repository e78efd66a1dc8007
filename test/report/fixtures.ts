import type { Delivery } from '../../src/api/delivery.ts';
import type { Draft } from '../../src/api/kinds.ts';
import { onCompletionAnnotation } from '../../src/api/names.ts';
import type { Secret } from '../../src/api/secret.ts';
import type { Task } from '../../src/api/task.ts';

const stored = {
  namespace: 'default',
  uid: 'b9a2f3a0-0000-4000-8000-000000000001',
  resourceVersion: '1',
  creationTimestamp: '2026-01-02T03:00:00Z',
};

/** A stored Task with the given metadata and status. */
export function taskOf(
  parts: { metadata?: Partial<Task['metadata']>; status?: Task['status']; spec?: Partial<Task['spec']> } = {},
): Task {
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: { ...stored, name: 'fix-7', ...parts.metadata },
    spec: { type: 'command', command: ['true'], ...parts.spec },
    ...(parts.status === undefined ? {} : { status: parts.status }),
  };
}

/** What one creates for a Task with these hooks. */
export function taskDraft(
  name: string,
  hooks: unknown,
  metadata: Partial<Draft<'Task'>['metadata']> = {},
): Draft<'Task'> {
  const annotation = typeof hooks === 'string' ? hooks : JSON.stringify(hooks);
  return {
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'Task',
    metadata: {
      name,
      namespace: 'default',
      ...metadata,
      annotations: { [onCompletionAnnotation]: annotation, ...metadata.annotations },
    },
    spec: { type: 'command', command: ['true'] },
  };
}

export function deliveryOf(
  parts: {
    metadata?: Partial<Delivery['metadata']>;
    spec?: Partial<Delivery['spec']>;
    status?: Delivery['status'];
  } = {},
): Delivery {
  return {
    apiVersion: 'telos.dev/v1alpha1',
    kind: 'Delivery',
    metadata: { ...stored, name: 'msg-a', ...parts.metadata },
    spec: {
      id: `msg_${'a'.repeat(26)}`,
      task: { name: 'fix-7', uid: stored.uid, phase: 'Failed' },
      hook: { name: 'oncall', webhook: { url: 'https://hooks.example.com/x' } },
      payload: { task: 'fix-7', namespace: 'default', phase: 'Failed' },
      ...parts.spec,
    },
    ...(parts.status === undefined ? {} : { status: parts.status }),
  };
}

/** A stored Secret with these values. */
export function secretOf(
  values: Readonly<Record<string, string>>,
  parts: { metadata?: Partial<Secret['metadata']>; type?: string } = {},
): Secret {
  const data = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
  const { metadata, ...rest } = parts;
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    data,
    ...rest,
    metadata: { ...stored, name: 'headers', ...metadata },
  };
}
