import type { Delivery } from '../../api/delivery.ts';
import type { Event } from '../../api/event.ts';
import type { Resource } from '../../api/kinds.ts';
import { deliveryTaskLabel } from '../../api/names.ts';
import type { ResourceStore } from '../../store/store.ts';
import { type CommandContext, printLine, printNote } from '../command-context.ts';
import { describeResource } from '../describe/describe-resource.ts';
import { listAll, listChosen, readTarget } from '../read-resources.ts';
import { parseSelection } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';

/** `telos describe`: the story of resources, with their Events and a Task's Deliveries. */
export async function describe(context: CommandContext, args: readonly string[]): Promise<void> {
  const selection = parseSelection(args, context.options);
  await withStore(context, async (store) => {
    const resources: Resource[] = [];
    if (selection.by === 'name') {
      for (const target of selection.targets) resources.push(await readTarget(store, target, context));
    } else {
      for (const kind of selection.kinds) resources.push(...(await listChosen(store, kind, context)).items);
    }
    if (resources.length === 0) printNote(context, 'No resources found.');
    await describeAll(store, resources, context);
  });
}

/** Writes the story of each, an empty line between two. */
export async function describeAll(
  store: ResourceStore,
  resources: readonly Resource[],
  context: CommandContext,
): Promise<void> {
  const events = await eventsByUid(store, resources, context.signal);
  for (const [index, resource] of resources.entries()) {
    if (index > 0) printLine(context, '');
    const story = describeResource(resource, {
      events: events.get(resource.metadata.uid) ?? [],
      deliveries: resource.kind === 'Task' ? await deliveriesOf(store, resource, context.signal) : [],
      nowMs: context.clock.now(),
    });
    context.stdout.write(story);
  }
}

/** The Events of all of them, oldest first: read once for each namespace. */
async function eventsByUid(
  store: ResourceStore,
  resources: readonly Resource[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Event[]>> {
  const byUid = new Map<string, Event[]>(resources.map((resource) => [resource.metadata.uid, []]));
  for (const namespace of new Set(resources.map((resource) => resource.metadata.namespace))) {
    const { items } = await listAll(store, 'Event', { namespace, signal });
    for (const event of items) byUid.get(event.involvedObject.uid ?? '')?.push(event);
  }
  for (const events of byUid.values()) events.sort((a, b) => timeOf(a).localeCompare(timeOf(b)));
  return byUid;
}

function timeOf(event: Event): string {
  return event.lastTimestamp ?? event.metadata.creationTimestamp;
}

async function deliveriesOf(
  store: ResourceStore,
  task: Resource<'Task'>,
  signal: AbortSignal,
): Promise<readonly Delivery[]> {
  const { name, namespace, uid } = task.metadata;
  // A longer name does not fit into a label; then all are looked through.
  const labelSelector = name.length <= 63 ? `${deliveryTaskLabel}=${name}` : undefined;
  const { items } = await listAll(store, 'Delivery', { namespace, labelSelector, signal });
  return items.filter((delivery) => delivery.spec.task.uid === uid);
}
