import type { Payload } from '../../api/delivery.ts';

/**
 * The body of format json. The order of the keys is fixed and the results are sorted, so that the bytes are
 * the same on each attempt whatever the store did to the order of a map.
 */
export function renderJson(payload: Payload): string {
  const members: string[] = [];
  const add = (key: string, value: unknown): void => {
    if (value !== undefined && value !== '') members.push(`"${key}":${JSON.stringify(value)}`);
  };
  add('task', payload.task);
  add('namespace', payload.namespace);
  add('spawner', payload.spawner);
  add('phase', payload.phase);
  add('message', payload.message);
  add('agentType', payload.agentType);
  add('model', payload.model);
  add('startTime', payload.startTime);
  add('completionTime', payload.completionTime);
  if (payload.outputs?.length) add('outputs', payload.outputs);
  if (payload.results !== undefined && Object.keys(payload.results).length > 0)
    members.push(`"results":${renderMap(payload.results)}`);
  if (payload.truncated?.length) add('truncated', payload.truncated);
  return `{${members.join(',')}}`;
}

/** Written by hand, because a JavaScript object puts keys that look like numbers first. */
function renderMap(map: Readonly<Record<string, string>>): string {
  const members = Object.keys(map)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${JSON.stringify(map[key])}`);
  return `{${members.join(',')}}`;
}
