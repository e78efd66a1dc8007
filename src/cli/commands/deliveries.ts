import type { Delivery } from '../../api/delivery.ts';
import { DeliveryReason } from '../../api/delivery.ts';
import {
  deliveryHookLabel,
  deliveryTaskLabel,
  onCompletionFinalizer,
  reportedPhaseAnnotation,
  skipCompletionAnnotation,
} from '../../api/names.ts';
import { nearest } from '../../base/nearest.ts';
import { type Redelivered, recover, redeliver, replay } from '../../report/redeliver.ts';
import { type Key, keyOf, keyText } from '../../store/store.ts';
import { UsageError } from '../cli-error.ts';
import { type CommandContext, printLine, printNote } from '../command-context.ts';
import { isObjectFormat, printNames, printObject, printObjects, tableOf } from '../print-resources.ts';
import { listAll, readTarget } from '../read-resources.ts';
import { parseOneTarget, parseSelection, resourceName } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';
import { describeAll } from './describe.ts';

export interface ListFlags {
  readonly phase?: string;
  readonly hook?: string;
  readonly task?: string;
  readonly reason?: string;
  /** Milliseconds. */
  readonly since?: number;
}

/** `telos deliveries list`: oldest first. */
export async function listDeliveries(
  context: CommandContext,
  _args: readonly string[],
  flags: ListFlags,
): Promise<void> {
  if (flags.reason !== undefined) checkReason(flags.reason);
  const { allNamespaces, namespace, selector, output } = context.options;
  const labels = [
    ...(selector === undefined ? [] : [selector]),
    ...(flags.hook === undefined ? [] : [`${deliveryHookLabel}=${flags.hook}`]),
    // A longer name does not fit into a label; then all are looked through.
    ...(flags.task === undefined || flags.task.length > 63 ? [] : [`${deliveryTaskLabel}=${flags.task}`]),
  ];
  await withStore(context, async (store) => {
    const { items } = await listAll(store, 'Delivery', {
      namespace: allNamespaces ? undefined : namespace,
      labelSelector: labels.length === 0 ? undefined : labels.join(','),
      signal: context.signal,
    });
    const since = flags.since === undefined ? undefined : context.clock.now() - flags.since;
    const chosen = items
      .filter((delivery) => isWanted(delivery, flags, since))
      .sort((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
    if (isObjectFormat(output)) printObjects(context, chosen, false);
    else if (output === 'name') printNames(context, chosen);
    else if (chosen.length === 0) printNote(context, 'No Deliveries found.');
    else context.stdout.write(tableOf('Delivery', context, false).render(chosen));
  });
}

function isWanted(delivery: Delivery, flags: ListFlags, since: number | undefined): boolean {
  const { spec, status, metadata } = delivery;
  if (flags.phase !== undefined && (status?.phase ?? 'Pending') !== flags.phase) return false;
  if (flags.reason !== undefined && status?.reason !== flags.reason) return false;
  if (flags.task !== undefined && spec.task.name !== flags.task) return false;
  return since === undefined || Date.parse(metadata.creationTimestamp) >= since;
}

function checkReason(reason: string): void {
  const reasons: readonly string[] = DeliveryReason.options;
  if (reasons.includes(reason)) return;
  const near = nearest(reason, reasons);
  const remedy = near === undefined ? `use one of ${reasons.join(', ')}` : `did you mean ${near}?`;
  throw new UsageError(`unknown reason '${reason}'`, '--reason', remedy);
}

/** `telos deliveries show`: attempt by attempt. */
export async function showDeliveries(context: CommandContext, args: readonly string[]): Promise<void> {
  const targets = deliveryTargets(args, context);
  await withStore(context, async (store) => {
    const deliveries: Delivery[] = [];
    for (const target of targets) deliveries.push(await readTarget(store, target, context));
    if (isObjectFormat(context.options.output)) printObjects(context, deliveries, true);
    else await describeAll(store, deliveries, context);
  });
}

/** `telos deliveries redeliver`. */
export async function redeliverDeliveries(context: CommandContext, args: readonly string[]): Promise<void> {
  const targets = deliveryTargets(args, context);
  await withStore(context, async (store) => {
    const keys = new Map<string, Key>();
    for (const target of targets) {
      const { namespace, name } = (await readTarget(store, target, context)).metadata;
      keys.set(keyText({ namespace, name }), { namespace, name });
    }
    const done: Redelivered[] = [];
    for (const key of keys.values()) done.push(await redeliver(store, key, context.clock));
    report(done, context);
  });
}

/** `telos deliveries recover`: all that failed lately. */
export async function recoverDeliveries(
  context: CommandContext,
  _args: readonly string[],
  flags: { readonly since?: number; readonly hook?: string },
): Promise<void> {
  const { since: sinceMs, hook } = flags;
  if (sinceMs === undefined)
    throw new UsageError('no time given', '--since', 'say how far back, such as 24h');
  const { allNamespaces, namespace } = context.options;
  await withStore(context, async (store) => {
    const where = { namespace: allNamespaces ? undefined : namespace, sinceMs, hook };
    report(await recover(store, where, context.clock), context);
  });
}

/** `telos deliveries replay`: also hooks that never matched. */
export async function replayTask(context: CommandContext, args: readonly string[]): Promise<void> {
  const { name } = parseOneTarget(args, ['Task']);
  const { namespace } = context.options;
  await withStore(context, async (store) => {
    report(await replay(store, { namespace, name }, context.clock), context);
  });
}

/** `telos deliveries skip`: lets a Task go without telling its hooks. */
export async function skipTask(context: CommandContext, args: readonly string[]): Promise<void> {
  const { name } = parseOneTarget(args, ['Task']);
  await withStore(context, async (store) => {
    const task = await readTarget(store, { kind: 'Task', name }, context);
    const { annotations = {}, finalizers = [] } = task.metadata;
    const recorded = annotations[reportedPhaseAnnotation];
    if (recorded !== undefined && !finalizers.includes(onCompletionFinalizer)) {
      printNote(context, `${resourceName(task)} is not held: its end (${recorded}) is recorded already`);
      return;
    }
    const patch = { metadata: { annotations: { [skipCompletionAnnotation]: 'true' } } };
    await store.patch('Task', keyOf(task), patch, { signal: context.signal });
    printLine(context, `${resourceName(task)} skipped`);
  });
}

function deliveryTargets(
  args: readonly string[],
  context: CommandContext,
): readonly { readonly kind: 'Delivery'; readonly name: string }[] {
  if (args.length === 0) throw new UsageError('no Delivery named', 'arguments', 'see telos deliveries list');
  const slashed = args.map((arg) => (arg.includes('/') ? arg : `delivery/${arg}`));
  const selection = parseSelection(slashed, context.options);
  const targets = selection.by === 'name' ? selection.targets : [];
  return targets.map(({ kind, name }) => {
    if (kind === 'Delivery') return { kind, name };
    throw new UsageError('not a Delivery', `'${name}'`, 'see telos deliveries list');
  });
}

function report(done: readonly Redelivered[], context: CommandContext): void {
  if (isObjectFormat(context.options.output)) {
    printObject(context, done);
    return;
  }
  for (const { key, outcome } of done) printLine(context, `delivery/${key.name} ${outcome}`);
  if (done.length === 0) printNote(context, 'No Deliveries found.');
}
