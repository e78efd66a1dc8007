import { type CommandContext, printLine } from '../command-context.ts';
import { readTarget } from '../read-resources.ts';
import { parseOneTarget, resourceName } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';

/** `telos suspend` and `telos resume`: sets `spec.suspend`. */
export async function setSuspend(
  context: CommandContext,
  args: readonly string[],
  suspend: boolean,
): Promise<void> {
  const target = parseOneTarget(args, ['TaskSpawner', 'Task']);
  const kind = target.kind === 'Task' ? 'Task' : 'TaskSpawner';
  await withStore(context, async (store) => {
    const before = await readTarget(store, { kind, name: target.name }, context);
    const { namespace, name } = before.metadata;
    const { signal } = context;
    if ((before.spec.suspend ?? false) !== suspend) {
      await store.patch(kind, { namespace, name }, { spec: { suspend } }, { signal });
    }
    printLine(context, `${resourceName(before)} ${suspend ? 'suspended' : 'resumed'}`);
  });
}
