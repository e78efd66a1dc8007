import { stringify } from 'yaml';

export interface DemoManifestOptions {
  readonly reviewProgram: string;
  readonly repo: string | undefined;
  /** A commit that changes more lines fails its Task. */
  readonly maxLines: number;
  readonly auditOrigin: string;
  readonly pagerOrigin: string;
}

/** The name of the TaskSpawner and of its source. */
export const demoSpawner = 'review';
export const demoSource = 'commits';
/** How many Tasks run at once. */
export const demoConcurrency = 2;

/** The TaskSpawner that the demo applies, as a user would write it. */
export function demoManifest(options: DemoManifestOptions): string {
  const { reviewProgram, repo, maxLines, auditOrigin, pagerOrigin } = options;
  return stringify({
    apiVersion: 'kelos.dev/v1alpha2',
    kind: 'TaskSpawner',
    metadata: { name: demoSpawner },
    spec: {
      when: {
        webhook: {
          source: demoSource,
          fieldMapping: { id: '$.sha', title: '$.subject', commit: '$.commit' },
        },
      },
      maxConcurrency: demoConcurrency,
      taskTemplate: {
        type: 'command',
        command: [
          process.execPath,
          reviewProgram,
          '{{.ID}}',
          '--max-lines',
          String(maxLines),
          ...(repo === undefined ? [] : ['--repo', repo]),
        ],
        promptTemplate: '{{.commit}}',
      },
      onCompletion: {
        hooks: [
          { name: 'audit', webhook: { url: `${auditOrigin}/reviews` } },
          { name: 'pager', phases: ['Failed'], webhook: { url: `${pagerOrigin}/alerts` } },
          { name: 'metadata', webhook: { url: 'https://169.254.169.254/latest/meta-data/' } },
        ],
      },
    },
  });
}
