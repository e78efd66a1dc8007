import { apiVersionOf, type Draft } from '../api/kinds.ts';
import {
  createdFromAnnotation,
  onCompletionAnnotation,
  onCompletionFinalizer,
  taskNumberAnnotation,
  taskSpawnerLabel,
} from '../api/names.ts';
import type { TaskSpawner, TaskTemplate } from '../api/task-spawner.ts';
import { nameFromText, taskName } from './task-name.ts';
import { type FieldTemplate, render, type TaskTemplates } from './task-templates.ts';
import type { WorkItem } from './work-item.ts';

/** A Task ready to be created, or one line that says why there is none. */
export type Built =
  | { readonly ok: true; readonly draft: Draft<'Task'> }
  | { readonly ok: false; readonly reason: string };

export interface BuildInput {
  readonly spawner: TaskSpawner;
  readonly templates: TaskTemplates;
  readonly item: WorkItem;
  /** The ordinal of the Task among those of its TaskSpawner, from 1. */
  readonly number: number;
}

/** The longest value of a label. */
const maxLabelLength = 63;

/** Makes a Task of a work item. Pure: the same input gives the same Task. */
export function buildTask(input: BuildInput): Built {
  const { spawner, item, templates } = input;
  const { taskTemplate } = spawner.spec;
  const fields = new Fields(item.variables);
  const name = itemTaskName(input, fields);
  const prompt = fields.text(templates.prompt);
  const branch = templates.branch === undefined ? undefined : fields.text(templates.branch);
  const command = templates.command?.map((field) => fields.argument(field));
  const labels = fields.texts(templates.labels);
  const annotations = { ...fields.texts(templates.annotations), ...item.annotations };
  if (fields.fault !== undefined) return { ok: false, reason: fields.fault };
  return {
    ok: true,
    draft: {
      apiVersion: apiVersionOf('Task'),
      kind: 'Task',
      metadata: { name, ...metadataOf(input, labels, annotations) },
      spec: {
        ...executionOf(taskTemplate),
        ...(prompt === '' ? {} : { prompt }),
        ...(branch === undefined || branch === '' ? {} : { branch }),
        ...(command === undefined ? {} : { command }),
        // The controller lifts it when its turn has come.
        ...(limitOf(spawner.spec.maxConcurrency) === undefined ? {} : { suspend: true }),
      },
    },
  };
}

/** `maxConcurrency` or `maxTotalTasks` as a number, or undefined when there is no limit. */
export function limitOf(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}

/** Renders fields one after the other and keeps the first fault. */
class Fields {
  readonly #variables: Readonly<Record<string, unknown>>;
  fault: string | undefined;

  constructor(variables: Readonly<Record<string, unknown>>) {
    this.#variables = variables;
  }

  text(field: FieldTemplate): string {
    if (this.fault !== undefined) return '';
    const rendered = render(field, this.#variables);
    if (rendered.ok) return rendered.text;
    this.fault = rendered.reason;
    return '';
  }

  /** Always exactly one argument, whatever the text holds; only a NUL cannot be part of one. */
  argument(field: FieldTemplate): string {
    const text = this.text(field);
    if (text.includes('\0')) this.fault ??= `${field.path}: renders a NUL, which no argument can hold`;
    return text;
  }

  texts(fields: ReadonlyMap<string, FieldTemplate>): Record<string, string> {
    return Object.fromEntries([...fields].map(([key, field]) => [key, this.text(field)]));
  }
}

function itemTaskName({ spawner, templates, item }: BuildInput, fields: Fields): string {
  if (templates.name === undefined) return taskName(spawner.metadata.name, item.name);
  const text = fields.text(templates.name);
  if (fields.fault !== undefined) return '';
  const name = text.includes('<no value>') ? undefined : nameFromText(text);
  if (name === undefined)
    fields.fault = `${templates.name.path}: renders ${text === '' ? 'nothing' : 'no usable name'}; use variables that every event has`;
  return name ?? '';
}

function metadataOf(
  { spawner, number }: BuildInput,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
): Omit<Draft<'Task'>['metadata'], 'name'> {
  const { name, namespace, uid } = spawner.metadata;
  const hooks = spawner.spec.onCompletion?.hooks;
  const fitsLabel = name.length <= maxLabelLength;
  const stamped: Record<string, string> = {
    ...annotations,
    ...(fitsLabel ? {} : { [createdFromAnnotation]: name }),
    ...(hooks === undefined ? {} : { [onCompletionAnnotation]: JSON.stringify(hooks) }),
    [taskNumberAnnotation]: String(number),
  };
  return {
    namespace,
    labels: { ...labels, ...(fitsLabel ? { [taskSpawnerLabel]: name } : {}) },
    annotations: stamped,
    ...(stamped[onCompletionAnnotation] === undefined ? {} : { finalizers: [onCompletionFinalizer] }),
    ownerReferences: [
      { apiVersion: apiVersionOf('TaskSpawner'), kind: 'TaskSpawner', name, uid, controller: true },
    ],
  };
}

/** The fields that a Task takes from its template as they stand. */
function executionOf(
  taskTemplate: TaskTemplate,
): Omit<TaskTemplate, 'promptTemplate' | 'nameTemplate' | 'metadata' | 'contextSources' | 'branch'> {
  const { promptTemplate, nameTemplate, metadata, contextSources, branch, ...execution } = taskTemplate;
  return execution;
}
