import { createdFromAnnotation, taskSpawnerLabel } from '../api/names.ts';
import type { Task } from '../api/task.ts';
import { type AgentType, effectiveWorker } from '../api/worker.ts';

/** A coding agent, not just any program. */
export type Agent = Exclude<AgentType, 'command'>;

/** The key of the credentials Secret, and the variable of the same name, by agent and type. */
export const credentialKeys: Readonly<Record<Agent, { readonly 'api-key': string; readonly oauth: string }>> =
  {
    'claude-code': { 'api-key': 'ANTHROPIC_API_KEY', oauth: 'CLAUDE_CODE_OAUTH_TOKEN' },
    codex: { 'api-key': 'CODEX_API_KEY', oauth: 'CODEX_AUTH_JSON' },
    gemini: { 'api-key': 'GEMINI_API_KEY', oauth: 'GEMINI_API_KEY' },
    opencode: { 'api-key': 'OPENCODE_API_KEY', oauth: 'OPENCODE_API_KEY' },
    cursor: { 'api-key': 'CURSOR_API_KEY', oauth: 'CURSOR_API_KEY' },
  };

/** What every program is told of its Task, in this order; what is not said has no variable. */
export function kelosVariables(task: Task, type: AgentType): Readonly<Record<string, string | undefined>> {
  const { model, effort } = effectiveWorker(task.spec);
  const { labels, annotations } = task.metadata;
  return {
    KELOS_MODEL: model,
    KELOS_EFFORT: effort,
    KELOS_BRANCH: task.spec.branch,
    KELOS_AGENT_TYPE: type,
    KELOS_TASKSPAWNER: labels?.[taskSpawnerLabel] ?? annotations?.[createdFromAnnotation],
  };
}
