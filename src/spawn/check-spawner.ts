import type { Fault } from '../api/fault.ts';
import type { TaskSpawner } from '../api/task-spawner.ts';
import { configFaults } from './source.ts';
import { cronSource } from './sources/cron.ts';
import { webhookFaults } from './sources/webhook.ts';
import { templateFaults } from './task-templates.ts';

/**
 * Everything that would keep a TaskSpawner from being worked although its schema is kept: its schedule, JSONPaths,
 * RE2 expressions and templates. A store takes such a one, and its status says so; whoever writes it hears it here.
 */
export function spawnerFaults({ when, taskTemplate }: TaskSpawner['spec']): readonly Fault[] {
  const { cron, webhook } = when;
  return [
    ...(cron === undefined ? [] : configFaults(() => cronSource(cron))),
    ...(webhook === undefined ? [] : webhookFaults(webhook)),
    ...templateFaults(taskTemplate),
  ];
}
