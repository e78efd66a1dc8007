import { expect, test } from 'vitest';
import { Hooks } from '../../src/api/hook.ts';
import { filterFaults } from '../../src/api/hook-check.ts';

const faultsOf = (filter: string): readonly string[] => {
  const hooks = Hooks.parse([{ name: 'a', filter, webhook: { url: 'https://a.example' } }]);
  return filterFaults(hooks, ['hooks']).map(({ path, message }) => `${path}: ${message}`);
};

test.each([
  ['task.cost > 5', /^hooks\[0\]\.filter: does not know task\.cost; known: /],
  ['"text"', /gives neither true nor false: compare with something/],
  ['task.phase', /gives neither true nor false/],
  ['task.phase == "Failed" ? true : "no"', /gives neither true nor false/],
  ['known(task)', /always fails: unbound function: known/],
  ['task.phase + 1 == "x"', /always fails: found no matching overload/],
  ['task.message.matches("(a+")', /always fails: error parsing regexp: missing closing/],
])('a filter that can tell nobody is a fault: %s', (filter, message) => {
  expect(faultsOf(filter)).toEqual([expect.stringMatching(message)]);
});

test.each([
  'task.phase == "Failed"',
  'task.results["pr"] != ""',
  'double(task.results["cost-usd"]) > 5.0',
  'task.outputs[3].startsWith("pr")',
  'has(task.results.pr) && task.results.pr.contains("github")',
  'task.outputs.exists(line, line.startsWith("pr: "))',
  '10 / int(task.results["n"]) > 1',
  'timestamp(task.completionTime) - timestamp(task.startTime) > duration("1h")',
])('a filter that may be right for some payload is none: %s', (filter) => {
  expect(faultsOf(filter)).toEqual([]);
});
