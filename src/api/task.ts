import { z } from 'zod';
import type { TerminalPhase } from './hook.ts';
import { Condition, ObjectMeta, type StoredMeta, Time } from './meta.ts';
import { executionFields, executionRules, typeInForce } from './worker.ts';

export const TaskPhase = z.enum(['Pending', 'Waiting', 'Running', 'Succeeded', 'Failed']);
export type TaskPhase = z.infer<typeof TaskPhase>;

/** Every field that a Task may change after it was made. All others are fixed for its life. */
const mutableTaskFields: ReadonlySet<string> = new Set(['suspend']);

const taskFields = {
  prompt: z
    .string()
    .optional()
    .describe(
      'What the agent is asked; for type command it is written to stdin, or, in a Pod, stands in TELOS_PROMPT.',
    ),
  suspend: z
    .boolean()
    .optional()
    .describe('Holds the Task back (phase Waiting) until it is false. The only field that may change.'),
  ...executionFields,
};

/** Equality of one field before and after, absent counting as a value. */
const unchanged = (field: string): string =>
  `has(self.${field}) ? has(oldSelf.${field}) && self.${field} == oldSelf.${field} : !has(oldSelf.${field})`;

export const TaskSpec = z.object(taskFields).meta({
  'x-kubernetes-validations': [
    ...executionRules,
    {
      rule: `has(self.prompt) || ${typeInForce} == 'command'`,
      message: 'is required (only type command goes without)',
      fieldPath: '.prompt',
    },
    // One rule per field, so that the fault names the field.
    ...Object.keys(taskFields)
      .filter((field) => !mutableTaskFields.has(field))
      .map((field) => ({
        rule: unchanged(field),
        message: 'cannot change after the Task was made (only suspend can); delete the Task and make another',
        fieldPath: `.${field}`,
      })),
  ],
});
export type TaskSpec = z.infer<typeof TaskSpec>;

export const TaskStatus = z.object({
  phase: TaskPhase.or(z.literal('')).optional(),
  jobName: z.string().optional(),
  podName: z.string().optional(),
  startTime: Time.optional(),
  completionTime: Time.optional(),
  message: z.string().optional(),
  outputs: z
    .array(z.string())
    .optional()
    .describe('Lines that the program printed between the output markers.'),
  results: z.record(z.string(), z.string()).optional().describe('Those of them that read `key: value`.'),
  usage: z
    .object({
      costUSD: z.union([z.string(), z.int()]).meta({ 'x-kubernetes-int-or-string': true }).optional(),
      inputTokens: z.int().min(0).optional(),
      outputTokens: z.int().min(0).optional(),
    })
    .optional(),
  conditions: z
    .array(Condition)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional(),
});
export type TaskStatus = z.infer<typeof TaskStatus>;

export const TaskSchema = z
  .object({
    apiVersion: z.string(),
    kind: z.literal('Task'),
    metadata: ObjectMeta,
    spec: TaskSpec,
    status: TaskStatus.optional(),
  })
  .describe('One run of an agent or program: what to do, and, in its status, what came of it.');

/** One run of an agent or program: what to do, and, in its status, what came of it. */
export type Task = Omit<z.infer<typeof TaskSchema>, 'metadata'> & { metadata: StoredMeta };

/** The terminal phase of a Task, or undefined while it has not ended. */
export function terminalPhase(task: {
  status?: { phase?: string | undefined } | undefined;
}): TerminalPhase | undefined {
  const phase = task.status?.phase;
  return phase === 'Succeeded' || phase === 'Failed' ? phase : undefined;
}
