import { expect, test } from 'vitest';
import { decideGrant, type GrantFacts, lastWordsMs } from '../../../src/store/rights/decide-grant.ts';

const calm: GrantFacts = {
  isHeld: true,
  isDeleting: false,
  isLeaving: false,
  isNamespaceGoing: false,
  holdsTasks: false,
  owesAttempts: false,
  deletingMs: 0,
};
const going = { isDeleting: true, isNamespaceGoing: true };

test.each<[string, Partial<GrantFacts>, string]>([
  ['is held before anything else is', { isHeld: false }, 'hold'],
  ['is not held by who ends', { isHeld: false, isLeaving: true }, 'nothing'],
  ['that goes cannot be held any more', { isHeld: false, ...going, holdsTasks: true }, 'nothing'],
  ['that is held stays as it is', { holdsTasks: true }, 'nothing'],
  ['is let go by who ends and holds nothing', { isLeaving: true, owesAttempts: true }, 'release'],
  ['is kept by who ends and holds a Task', { isLeaving: true, holdsTasks: true }, 'nothing'],
  [
    'that is taken back is let go at once',
    { isDeleting: true, holdsTasks: true, owesAttempts: true },
    'release',
  ],
  [
    'that goes stays while a Task is held, however long',
    { ...going, holdsTasks: true, deletingMs: 1e9 },
    'wait',
  ],
  [
    'that goes stays for last attempts',
    { ...going, owesAttempts: true, deletingMs: lastWordsMs - 1 },
    'wait',
  ],
  ['that goes stays for them 30 s', { ...going, owesAttempts: true, deletingMs: lastWordsMs }, 'release'],
  [
    'that goes is not kept for attempts of who ends',
    { ...going, owesAttempts: true, isLeaving: true },
    'release',
  ],
  ['that goes is let go when nothing is left', going, 'release'],
])('a grant %s', (_what, facts, step) => {
  expect(decideGrant({ ...calm, ...facts })).toEqual({ do: step });
});
