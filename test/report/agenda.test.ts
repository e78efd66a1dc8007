import { expect, it } from 'vitest';
import { Agenda } from '../../src/report/agenda.ts';
import { ManualClock } from '../support/manual-clock.ts';

it('gives a key one turn only, although the wall clock was set back while it waited for its turn', () => {
  const clock = new ManualClock();
  const agenda = new Agenda(clock, () => {});
  const due = clock.now();
  agenda.put('default/d', 'https://a.example', due);
  clock.setWall(due - 60_000);
  agenda.put('default/d', 'https://a.example', due);
  agenda.arm();
  expect(agenda.take()?.key).toBe('default/d');
  clock.advance(120_000);
  expect(agenda.take()).toBeUndefined();
  agenda.disarm();
});
