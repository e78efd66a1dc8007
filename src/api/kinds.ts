import type { z } from 'zod';
import { type AgentConfig, AgentConfigSchema } from './agent-config.ts';
import { type Delivery, DeliverySchema } from './delivery.ts';
import { type Event, EventSchema } from './event.ts';
import type { ObjectMeta } from './meta.ts';
import { type Secret, SecretSchema } from './secret.ts';
import { type Task, TaskSchema } from './task.ts';
import { type TaskSpawner, TaskSpawnerSchema } from './task-spawner.ts';
import { type Workspace, WorkspaceSchema } from './workspace.ts';

/** Every kind that a store holds, by its name. */
export interface Resources {
  Task: Task;
  TaskSpawner: TaskSpawner;
  Workspace: Workspace;
  AgentConfig: AgentConfig;
  Delivery: Delivery;
  Secret: Secret;
  Event: Event;
}

export type Kind = keyof Resources;
export type Resource<K extends Kind = Kind> = Resources[K];

/** What one creates: a resource whose metadata has what a user writes. */
export type Draft<K extends Kind = Kind> = K extends Kind
  ? Omit<Resources[K], 'metadata'> & { metadata: ObjectMeta }
  : never;

/** A column of `telos get` and `kubectl get`. `path` is a Kubernetes column JSONPath. */
export interface PrinterColumn {
  readonly name: string;
  /** `due` is a time to come, or one that is over because something is late. Kubernetes shows it as it stands. */
  readonly type: 'string' | 'integer' | 'date' | 'boolean' | 'due';
  readonly path: string;
  /** What `telos get` shows where there is nothing. Default: `<none>`. */
  readonly absent?: string;
  /** Only with `-o wide`. */
  readonly wide?: boolean;
}

export interface KindInfo {
  readonly kind: Kind;
  readonly group: string;
  /** Served versions, the one that is stored last. */
  readonly versions: readonly string[];
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** Whether status is written apart from the rest. */
  readonly status: boolean;
  /** Whether Telos brings a CRD for it (false: the Kubernetes API has it). */
  readonly custom: boolean;
  readonly schema: z.ZodObject;
  readonly columns: readonly PrinterColumn[];
}

const kelos = { group: 'kelos.dev', versions: ['v1alpha1', 'v1alpha2'], custom: true } as const;
const age: PrinterColumn = { name: 'Age', type: 'date', path: '.metadata.creationTimestamp' };

/** Names, versions and schema of every kind. */
export const kinds: Readonly<Record<Kind, KindInfo>> = {
  Task: {
    ...kelos,
    kind: 'Task',
    plural: 'tasks',
    singular: 'task',
    shortNames: ['tk'],
    status: true,
    schema: TaskSchema,
    columns: [
      { name: 'Type', type: 'string', path: '.spec.type' },
      { name: 'Phase', type: 'string', path: '.status.phase' },
      { name: 'Spawner', type: 'string', path: '.metadata.labels.kelos\\.dev/taskspawner' },
      { name: 'Worker Type', type: 'string', path: '.spec.worker.type', wide: true },
      { name: 'Message', type: 'string', path: '.status.message', wide: true },
      age,
    ],
  },
  TaskSpawner: {
    ...kelos,
    kind: 'TaskSpawner',
    plural: 'taskspawners',
    singular: 'taskspawner',
    shortNames: ['ts'],
    status: true,
    schema: TaskSpawnerSchema,
    columns: [
      { name: 'Phase', type: 'string', path: '.status.phase' },
      { name: 'Active', type: 'integer', path: '.status.activeTasks' },
      { name: 'Total', type: 'integer', path: '.status.totalTasksCreated' },
      { name: 'Suspend', type: 'boolean', path: '.spec.suspend' },
      { name: 'Message', type: 'string', path: '.status.message', wide: true },
      age,
    ],
  },
  Workspace: {
    ...kelos,
    kind: 'Workspace',
    plural: 'workspaces',
    singular: 'workspace',
    shortNames: ['ws'],
    status: false,
    schema: WorkspaceSchema,
    columns: [
      { name: 'Repo', type: 'string', path: '.spec.repo' },
      { name: 'Ref', type: 'string', path: '.spec.ref' },
      age,
    ],
  },
  AgentConfig: {
    ...kelos,
    kind: 'AgentConfig',
    plural: 'agentconfigs',
    singular: 'agentconfig',
    shortNames: ['ac'],
    status: false,
    schema: AgentConfigSchema,
    columns: [age],
  },
  Delivery: {
    kind: 'Delivery',
    group: 'telos.dev',
    versions: ['v1alpha1'],
    custom: true,
    plural: 'deliveries',
    singular: 'delivery',
    shortNames: ['dl'],
    status: true,
    schema: DeliverySchema,
    columns: [
      { name: 'Task', type: 'string', path: '.spec.task.name' },
      { name: 'Hook', type: 'string', path: '.spec.hook.name' },
      { name: 'Phase', type: 'string', path: '.status.phase', absent: 'Pending' },
      { name: 'Attempts', type: 'integer', path: '.status.attemptCount', absent: '0' },
      { name: 'Reason', type: 'string', path: '.status.reason' },
      { name: 'Next', type: 'due', path: '.status.nextAttemptAt' },
      { name: 'Message', type: 'string', path: '.status.message', wide: true },
      age,
    ],
  },
  Secret: {
    kind: 'Secret',
    group: '',
    versions: ['v1'],
    custom: false,
    plural: 'secrets',
    singular: 'secret',
    shortNames: [],
    status: false,
    schema: SecretSchema,
    columns: [{ name: 'Type', type: 'string', path: '.type' }, age],
  },
  Event: {
    kind: 'Event',
    group: '',
    versions: ['v1'],
    custom: false,
    plural: 'events',
    singular: 'event',
    shortNames: ['ev'],
    status: false,
    schema: EventSchema,
    columns: [
      { name: 'Type', type: 'string', path: '.type' },
      { name: 'Reason', type: 'string', path: '.reason' },
      { name: 'Object', type: 'string', path: '.involvedObject.name' },
      { name: 'Message', type: 'string', path: '.message' },
      age,
    ],
  },
};

const apiVersions: ReadonlyMap<Kind, readonly string[]> = new Map(
  Object.values(kinds).map(({ kind, group, versions }) => [
    kind,
    versions.map((version) => (group === '' ? version : `${group}/${version}`)),
  ]),
);

export const kindNames = Object.keys(kinds) as readonly Kind[];

/** Every apiVersion in which a kind may be written, the one that is stored last. */
export function apiVersionsOf(kind: Kind): readonly string[] {
  return apiVersions.get(kind) ?? [];
}

/** The apiVersion in which Telos stores and writes a kind. */
export function apiVersionOf(kind: Kind): string {
  return apiVersionsOf(kind).at(-1) ?? '';
}

/** Finds a kind by any name a user may call it: kind, plural, singular or short, in any case. */
export function findKind(name: string): Kind | undefined {
  const wanted = name.toLowerCase();
  return kindNames.find((kind) => {
    const info = kinds[kind];
    return [kind.toLowerCase(), info.plural, info.singular, ...info.shortNames].includes(wanted);
  });
}
