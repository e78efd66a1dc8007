import type { Delivery } from '../../api/delivery.ts';
import type { Event } from '../../api/event.ts';
import { type Kind, kinds, type Resource } from '../../api/kinds.ts';
import { onCompletionAnnotation } from '../../api/names.ts';
import { toYaml } from '../object-text.ts';
import { inOrder } from '../print-resources.ts';
import { age } from '../table.ts';
import { describeDelivery } from './describe-delivery.ts';
import { describeTask } from './describe-task.ts';
import { describeTaskSpawner } from './describe-task-spawner.ts';
import { Outline } from './outline.ts';

/** What `kubectl apply` leaves behind. */
const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** What belongs to a resource's story besides itself. */
export interface Surroundings {
  readonly events: readonly Event[];
  /** Of a Task: who was or will be told. */
  readonly deliveries: readonly Delivery[];
  readonly nowMs: number;
}

/** The story of one resource, for people. Shows no value of a Secret and no path of a hook's URL. */
export function describeResource(resource: Resource, surroundings: Surroundings): string {
  const { metadata, kind } = resource;
  const { nowMs, events } = surroundings;
  const outline = new Outline().fields([
    ['Name', metadata.name],
    ['Namespace', metadata.namespace],
    ['Kind', kind],
    ['Labels', pairs(metadata.labels)],
    ['Annotations', pairs(metadata.annotations)],
    ['Made', `${metadata.creationTimestamp} (${age(metadata.creationTimestamp, nowMs)} ago)`],
    ['Being deleted', metadata.deletionTimestamp],
    ['Held by', metadata.deletionTimestamp === undefined ? undefined : metadata.finalizers?.join(', ')],
  ]);
  describeKind(resource, surroundings, outline);
  outline.section('Conditions', conditionLines(resource));
  outline.section(
    'Events',
    events.map((event) => eventLine(event, nowMs)),
  );
  return outline.toString();
}

function describeKind(resource: Resource, surroundings: Surroundings, outline: Outline): void {
  switch (resource.kind) {
    case 'Task':
      describeTask(resource, surroundings.deliveries, outline, surroundings.nowMs);
      return;
    case 'TaskSpawner':
      describeTaskSpawner(resource, outline);
      return;
    case 'Delivery':
      describeDelivery(resource, outline, surroundings.nowMs);
      return;
    case 'Secret': {
      const keys = Object.entries(resource.data ?? {}).map(
        ([key, value]) => `${key}: ${Buffer.from(value, 'base64').length} bytes`,
      );
      outline.fields([['Type', resource.type]]).section('Data', keys);
      return;
    }
    default: {
      const { apiVersion: _version, kind: _kind, metadata: _metadata, ...content } = inOrder(resource);
      outline.section('Content', [toYaml(content)]);
    }
  }
}

function pairs(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => {
      // Its URLs may be credentials; the hooks are told of below.
      if (key === onCompletionAnnotation) return `${key} (see Hooks)`;
      // All of the resource once more, values of a Secret too.
      if (key === lastAppliedAnnotation) return `${key} (see get -o yaml)`;
      return `${key}=${value.length > 200 ? `${value.slice(0, 200)}…` : value}`;
    })
    .join('\n');
}

function conditionLines(resource: Resource<Kind>): string[] {
  if (!kinds[resource.kind].status) return [];
  const { status } = resource as Resource<'Task' | 'TaskSpawner'>;
  return (status?.conditions ?? []).map(
    ({ type, status: state, reason, message }) =>
      `${type}: ${state} (${reason})${message === '' ? '' : `: ${message}`}`,
  );
}

function eventLine(event: Event, nowMs: number): string {
  const time = event.lastTimestamp ?? event.metadata.creationTimestamp;
  const times = (event.count ?? 1) > 1 ? ` (${event.count} times)` : '';
  return `${age(time, nowMs)} ago  ${event.type}  ${event.reason}${times}: ${event.message}`;
}
