import { randomBytes } from 'node:crypto';
import { type Hook, Hooks } from '../../api/hook.ts';
import { apiVersionOf, type Draft } from '../../api/kinds.ts';
import { createdFromAnnotation, onCompletionAnnotation, onCompletionFinalizer } from '../../api/names.ts';
import type { TaskSpec } from '../../api/task.ts';
import type { TaskTemplate } from '../../api/task-spawner.ts';
import { rfc3339 } from '../../base/text.ts';
import type { ResourceStore } from '../../store/store.ts';
import { UsageError } from '../cli-error.ts';
import { type CommandContext, printLine } from '../command-context.ts';
import { isObjectFormat, printNames, printObjects } from '../print-resources.ts';
import { readTarget } from '../read-resources.ts';
import { parseOneTarget, resourceName } from '../resource-argument.ts';
import { withStore } from '../store-option.ts';
import { waitForTask } from '../wait-for-task.ts';

export interface RunFlags {
  readonly prompt?: string;
  readonly type?: string;
  readonly from?: string;
  readonly model?: string;
  readonly hook?: readonly string[];
  readonly env?: readonly string[];
  readonly name?: string;
}

/** `telos run`: makes one Task now; with `-w` waits for its end. `argv` is what stands after `--`. */
export async function run(context: CommandContext, argv: readonly string[], flags: RunFlags): Promise<0 | 1> {
  return withStore(context, async (store) => {
    const origin = flags.from === undefined ? undefined : await readOrigin(store, flags.from, context);
    const draft = draftTask(argv, flags, origin, context);
    const task = await store.create<'Task'>(draft, { signal: context.signal });
    const { output, watch } = context.options;
    const showsObject = isObjectFormat(output);
    if (!showsObject) {
      if (output === 'name') printNames(context, [task]);
      else printLine(context, `${resourceName(task)} created`);
    } else if (!watch) printObjects(context, [task], true);
    return watch ? waitForTask(store, task, context) : 0;
  });
}

/** What `--from` takes over from a TaskSpawner. */
interface Origin {
  readonly name: string;
  readonly template: TaskTemplate;
  readonly hooks: readonly Hook[];
}

async function readOrigin(store: ResourceStore, text: string, context: CommandContext): Promise<Origin> {
  const { name } = parseOneTarget([text], ['TaskSpawner']);
  const { spec } = await readTarget(store, { kind: 'TaskSpawner', name }, context);
  return { name, template: spec.taskTemplate, hooks: spec.onCompletion?.hooks ?? [] };
}

function draftTask(
  argv: readonly string[],
  flags: RunFlags,
  origin: Origin | undefined,
  context: CommandContext,
): Draft<'Task'> {
  const hooks = [...(origin?.hooks ?? []), ...hooksOf(flags.hook ?? [], origin?.hooks ?? [])];
  const annotations = {
    ...(origin === undefined
      ? {}
      : {
          [createdFromAnnotation]: origin.name,
          'kelos.dev/trigger-type': 'manual',
          'kelos.dev/trigger-time': rfc3339(context.clock.now()),
        }),
    ...(hooks.length === 0 ? {} : { [onCompletionAnnotation]: JSON.stringify(checkedHooks(hooks)) }),
  };
  return {
    apiVersion: apiVersionOf('Task'),
    kind: 'Task',
    metadata: {
      name:
        flags.name ??
        `${origin === undefined ? 'task' : `${origin.name.slice(0, 44)}-manual`}-${randomName()}`,
      namespace: context.options.namespace,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      // Without it a Task that is deleted at once would be gone before its hooks are recorded.
      ...(hooks.length === 0 ? {} : { finalizers: [onCompletionFinalizer] }),
    },
    spec: specOf(argv, flags, origin),
  };
}

function specOf(argv: readonly string[], flags: RunFlags, origin: Origin | undefined): TaskSpec {
  const { promptTemplate, nameTemplate, metadata, contextSources, ...template } = origin?.template ?? {};
  if (origin === undefined && argv.length === 0 && flags.prompt === undefined) {
    throw new UsageError('nothing to run', 'arguments', 'give -p TEXT, --from taskspawner/X, or -- ARGV…');
  }
  const type = flags.type ?? (argv.length > 0 ? 'command' : origin === undefined ? 'claude-code' : undefined);
  const prompt = flags.prompt ?? promptTemplate;
  const templated = [
    ...(flags.prompt === undefined ? [prompt] : []),
    ...(argv.length > 0 ? [] : (template.command ?? [])),
  ];
  if (templated.some((text) => text?.includes('{{'))) {
    throw new UsageError(
      'the template wants a work item',
      `taskspawner/${origin?.name ?? ''}`,
      'say what to do yourself with -p TEXT or -- ARGV…',
    );
  }
  const env = [...(template.env ?? []), ...(flags.env ?? []).map(variable)];
  return {
    ...template,
    ...(type === undefined ? {} : { type }),
    ...(flags.model === undefined ? {} : { model: flags.model }),
    ...(prompt === undefined ? {} : { prompt }),
    ...(argv.length === 0 ? {} : { command: [...argv] }),
    ...(env.length === 0 ? {} : { env }),
  } as TaskSpec;
}

function variable(text: string): { name: string; value: string } {
  const equals = text.indexOf('=');
  // The text itself is not repeated: it may be the value alone.
  if (equals < 1) throw new UsageError('not a variable', '--env', 'write NAME=VALUE');
  return { name: text.slice(0, equals), value: text.slice(equals + 1) };
}

function hooksOf(urls: readonly string[], taken: readonly Hook[]): Hook[] {
  const names = new Set(taken.map((hook) => hook.name));
  return urls.map((url) => {
    let number = 1;
    while (names.has(`run-${number}`)) number += 1;
    names.add(`run-${number}`);
    return { name: `run-${number}`, webhook: { url } };
  });
}

/** A hook that breaks the rules is refused here, not found out when the Task has ended. */
function checkedHooks(hooks: readonly Hook[]): readonly Hook[] {
  if (Hooks.safeParse(hooks).success) return hooks;
  if (hooks.length > 8) {
    throw new UsageError('too many hooks', '--hook', "give at most 8, those of the TaskSpawner's included");
  }
  // The URL itself is not repeated: it may hold a password.
  throw new UsageError('not a URL that hooks may have', '--hook', 'write https://… without user or password');
}

/** Five characters as Kubernetes makes them: no vowels, so that no words come out. */
function randomName(): string {
  const characters = 'bcdfghjklmnpqrstvwxz2456789';
  return [...randomBytes(5)].map((byte) => characters[byte % characters.length]).join('');
}
