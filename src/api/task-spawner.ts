import { z } from 'zod';
import { OnCompletion } from './hook.ts';
import { Condition, LocalReference, ObjectMeta, SecretKeyReference, type StoredMeta, Time } from './meta.ts';
import { dnsLabel, githubTeam, httpUrl, slackChannel, variableName } from './pattern.ts';
import { executionFields, executionRules } from './worker.ts';

const strings = z.array(z.string());
const pollInterval = z.string().optional().describe('Go duration or seconds. Default: 5m.');

const FilePatterns = z.object({ include: strings.optional(), exclude: strings.optional() });

const CommentPolicy = z.object({
  triggerComment: z.string().optional(),
  excludeComments: strings.optional(),
  allowedUsers: strings.optional(),
  allowedTeams: z.array(z.string().regex(githubTeam)).optional(),
  minimumPermission: z.enum(['read', 'triage', 'write', 'maintain', 'admin']).optional(),
});

const GitHubReporting = z.object({
  enabled: z.boolean().optional(),
  comments: z.object({ mode: z.enum(['PerTask', 'Sticky']).optional() }).optional(),
  checks: z.object({ name: z.string().max(100).optional() }).optional(),
});

const githubItemFields = {
  repo: z.string().optional(),
  labels: strings.optional(),
  excludeLabels: strings.optional(),
  state: z.enum(['open', 'closed', 'all']).optional().meta({ default: 'open' }),
  commentPolicy: CommentPolicy.optional(),
  triggerComment: z.string().optional(),
  excludeComments: strings.optional(),
  author: z.string().optional(),
  excludeAuthors: strings.optional(),
  priorityLabels: strings.optional(),
  reporting: GitHubReporting.optional(),
  pollInterval,
};

const commentRule = {
  rule: '!has(self.commentPolicy) || !(has(self.triggerComment) || has(self.excludeComments))',
  message: 'goes without triggerComment and excludeComments beside it: put them into it',
  fieldPath: '.commentPolicy',
};

export const GitHubIssues = z
  .object({
    ...githubItemFields,
    types: z
      .array(z.enum(['issues', 'pulls']))
      .optional()
      .meta({ default: ['issues'] }),
    assignee: z.string().optional(),
  })
  .meta({
    'x-kubernetes-validations': [
      commentRule,
      {
        rule: '!has(self.reporting) || !has(self.reporting.checks)',
        message: 'goes with pull requests only',
        fieldPath: '.reporting.checks',
      },
    ],
  });

export const GitHubPullRequests = z
  .object({
    ...githubItemFields,
    reviewState: z.enum(['approved', 'changes_requested', 'any']).optional().meta({ default: 'any' }),
    draft: z.boolean().optional(),
    filePatterns: FilePatterns.optional(),
  })
  .meta({ 'x-kubernetes-validations': [commentRule] });

export const Cron = z.object({
  schedule: z.string().min(9).max(256).describe('Five cron fields, in UTC.'),
});

export const Jira = z.object({
  baseUrl: z.string().regex(httpUrl),
  project: z.string(),
  jql: z.string().optional(),
  secretRef: LocalReference,
  pollInterval,
});

export const GitHubWebhook = z.object({
  events: z.array(z.string()).min(1).max(20),
  repository: z.string().optional(),
  excludeAuthors: strings.optional(),
  filters: z
    .array(
      z.object({
        event: z.string(),
        action: z.string().optional(),
        bodyContains: z.string().max(1024).optional(),
        bodyPattern: z.string().max(1024).optional(),
        excludeBodyPatterns: z.array(z.string().min(1).max(1024)).max(10).optional(),
        labels: strings.optional(),
        excludeLabels: strings.optional(),
        state: z.string().optional(),
        branch: z.string().optional(),
        tag: z.string().optional(),
        draft: z.boolean().optional(),
        commentOn: z.enum(['Issue', 'PullRequest', '']).optional(),
        author: z.string().optional(),
        excludeAuthors: strings.optional(),
        filePatterns: FilePatterns.optional(),
        conclusion: z
          .enum([
            'success',
            'failure',
            'cancelled',
            'timed_out',
            'action_required',
            'neutral',
            'skipped',
            'stale',
          ])
          .optional(),
        checkName: z.string().optional(),
      }),
    )
    .optional(),
  reporting: GitHubReporting.optional(),
});

export const LinearWebhook = z.object({
  types: z.array(z.string()).min(1),
  filters: z
    .array(
      z.object({
        type: z.string().optional(),
        action: z.enum(['create', 'update', 'remove', '']).optional(),
        states: strings.optional(),
        labels: strings.optional(),
        excludeLabels: strings.optional(),
      }),
    )
    .optional(),
});

const GenericWebhookFilter = z
  .object({
    field: z.string().min(1).max(1024).describe('JSONPath of the field in the event.'),
    value: z.string().optional().describe('Its exact text.'),
    pattern: z.string().max(1024).optional().describe('An RE2 expression found in its text.'),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: 'has(self.value) != (has(self.pattern) && size(self.pattern) > 0)',
        message: 'exactly one of value and pattern is required',
      },
    ],
  });
export type GenericWebhookFilter = z.infer<typeof GenericWebhookFilter>;

export const GenericWebhook = z
  .object({
    source: z
      .string()
      .min(1)
      .max(63)
      .regex(dnsLabel)
      .describe('The last part of the path that events are sent to: /webhook/SOURCE.'),
    fieldMapping: z
      .record(z.string(), z.string())
      .describe('Template variable → JSONPath in the event. `id` names the event and is required.'),
    filters: z.array(GenericWebhookFilter).max(64).optional().describe('All must match.'),
    excludeFilters: z.array(GenericWebhookFilter).max(64).optional().describe('None may match.'),
    secretRef: SecretKeyReference.optional().describe('Events must be signed with this key.'),
  })
  .meta({
    'x-kubernetes-validations': [
      { rule: "'id' in self.fieldMapping", message: "fieldMapping needs the key 'id': it names the event" },
    ],
  });
export type GenericWebhook = z.infer<typeof GenericWebhook>;

export const Slack = z.object({
  channels: z.array(z.string().regex(slackChannel)).max(64).optional(),
  botMessagePolicy: z.enum(['None', 'All', 'OthersOnly']).optional(),
  triggers: z
    .array(z.object({ pattern: z.string().max(256).optional(), mentionOptional: z.boolean().optional() }))
    .max(8)
    .optional(),
  excludePatterns: z.array(z.string().min(1).max(256)).max(10).optional(),
});

const sourceFields = {
  githubIssues: GitHubIssues.optional(),
  githubPullRequests: GitHubPullRequests.optional(),
  cron: Cron.optional(),
  jira: Jira.optional(),
  githubWebhook: GitHubWebhook.optional(),
  linearWebhook: LinearWebhook.optional(),
  webhook: GenericWebhook.optional(),
  slack: Slack.optional(),
};

/** The name of a source, as it stands under `spec.when`. */
export type SourceName = keyof typeof sourceFields;
export const sourceNames = Object.keys(sourceFields) as readonly SourceName[];

const oneSource = `[${sourceNames.map((name) => `has(self.${name})`).join(', ')}].filter(x, x).size() == 1`;

export const When = z.object(sourceFields).meta({
  'x-kubernetes-validations': [{ rule: oneSource, message: 'exactly one source is required' }],
});

const ContextSource = z
  .object({
    name: z.string().min(1).max(64).regex(variableName),
    http: z
      .object({
        url: z.string().min(1),
        method: z.enum(['GET', 'POST']).optional().meta({ default: 'GET' }),
        headers: z.record(z.string(), z.string()).optional(),
        headersFrom: z
          .array(
            z.object({
              header: z.string().min(1),
              secretName: z.string().min(1),
              secretKey: z.string().min(1),
            }),
          )
          .max(16)
          .optional(),
        body: z.string().optional(),
        responseFilter: z.object({ type: z.literal('JSONPath'), expression: z.string().min(1) }).optional(),
        allowInsecure: z.boolean().optional(),
        timeoutSeconds: z.int32().min(1).max(60).optional().meta({ default: 10 }),
        maxResponseBytes: z.int32().min(1).max(131072).optional().meta({ default: 32768 }),
        githubAppAuth: z
          .record(z.string(), z.unknown())
          .meta({ 'x-kubernetes-preserve-unknown-fields': true })
          .optional(),
      })
      .optional(),
    failurePolicy: z.enum(['Fail', 'Ignore']).optional().meta({ default: 'Fail' }),
  })
  .meta({ 'x-kubernetes-validations': [{ rule: 'has(self.http)', message: 'http is required' }] });

export const TaskTemplate = z
  .object({
    ...executionFields,
    promptTemplate: z
      .string()
      .max(262144)
      .optional()
      .describe('Go template of the prompt. Default: {{.Title}}.'),
    nameTemplate: z.string().max(4096).optional(),
    metadata: z
      .object({
        labels: z.record(z.string(), z.string()).optional(),
        annotations: z.record(z.string(), z.string()).optional(),
      })
      .optional()
      .describe('Labels and annotations of the Task; values are Go templates.'),
    contextSources: z
      .array(ContextSource)
      .max(8)
      .optional()
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] }),
  })
  .meta({ 'x-kubernetes-validations': executionRules });
export type TaskTemplate = z.infer<typeof TaskTemplate>;

export const TaskSpawnerSpec = z.object({
  when: When.describe('Where work items come from.'),
  taskTemplate: TaskTemplate.describe('The Task made of each.'),
  onCompletion: OnCompletion.optional().describe('Who is told when such a Task ends.'),
  maxConcurrency: z
    .int32()
    .min(0)
    .optional()
    .describe('Tasks that may run at once; later ones wait. 0: no limit.'),
  maxTotalTasks: z.int32().min(0).optional().describe('Tasks ever made; then no more. 0: no limit.'),
  suspend: z.boolean().optional().describe('While true no Task is made.'),
  pollInterval,
  credentials: z
    .array(
      z
        .object({ name: z.string().min(1) })
        .loose()
        .meta({ 'x-kubernetes-preserve-unknown-fields': true }),
    )
    .optional(),
});
export type TaskSpawnerSpec = z.infer<typeof TaskSpawnerSpec>;

export const TaskSpawnerStatus = z.object({
  phase: z.enum(['Pending', 'Running', 'Suspended', 'Failed', '']).optional(),
  deploymentName: z.string().optional(),
  cronJobName: z.string().optional(),
  totalDiscovered: z.int().optional(),
  totalTasksCreated: z.int().optional(),
  activeTasks: z.int().optional(),
  waitingTasks: z.int().optional(),
  lastDiscoveryTime: Time.optional(),
  message: z.string().optional(),
  observedGeneration: z.int().optional(),
  conditions: z
    .array(Condition)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional(),
});
export type TaskSpawnerStatus = z.infer<typeof TaskSpawnerStatus>;

export const TaskSpawnerSchema = z.object({
  apiVersion: z.string(),
  kind: z.literal('TaskSpawner'),
  metadata: ObjectMeta,
  spec: TaskSpawnerSpec,
  status: TaskSpawnerStatus.optional(),
});

/** What turns the work items of one source into Tasks. */
export type TaskSpawner = Omit<z.infer<typeof TaskSpawnerSchema>, 'metadata'> & { metadata: StoredMeta };
