import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Agenda, type Place } from '../../src/report/agenda.ts';
import { ManualClock } from '../support/manual-clock.ts';

const inLane = (lane: string): Place => ({ lane, isUnjudged: false });

it('gives a key one turn only, although the wall clock was set back while it waited for its turn', () => {
  const clock = new ManualClock();
  const agenda = new Agenda(clock, () => {});
  const due = clock.now();
  agenda.put('default/d', inLane('https://a.example'), due);
  clock.setWall(due - 60_000);
  agenda.put('default/d', inLane('https://a.example'), due);
  agenda.arm();
  expect(agenda.take()?.key).toBe('default/d');
  clock.advance(120_000);
  expect(agenda.take()).toBeUndefined();
  agenda.disarm();
});

it('keeps nothing of origins that were sick once and have nothing waiting any more', () => {
  const clock = new ManualClock();
  const agenda = new Agenda(clock, () => {});
  for (let index = 0; index < 20_000; index += 1) {
    agenda.observe(`https://o${index}.example`, { health: 'sick', pauseMs: index % 2 === 0 ? 5_000 : 0 });
    agenda.arm();
    clock.advance(1_000);
  }
  agenda.disarm();
  // An hour's worth, at one a second, twice over; not five hours'.
  expect(agenda.kept).toBeLessThan(8_000);
});

it('keeps one note of when a sick origin is looked at again, however long it is sick', () => {
  const clock = new ManualClock();
  const agenda = new Agenda(clock, () => {});
  const lane = 'https://a.example';
  for (let attempts = 0; attempts < 16; attempts += 1) {
    agenda.observe(lane, { health: 'sick', pauseMs: 5_000 + attempts });
    clock.advance(1);
  }
  for (let probes = 0; probes < 200; probes += 1) {
    agenda.arm();
    clock.advance(600_000);
    agenda.observe(lane, { health: 'sick', pauseMs: 5_000 });
  }
  agenda.disarm();
  expect(agenda.kept).toBeLessThanOrEqual(3);
  expect(agenda.sickOrigins).toBe(1);
});

it('sends again to an origin that it had forgotten while its lane was closed', () => {
  const clock = new ManualClock();
  const agenda = new Agenda(clock, () => {});
  const sick = { health: 'sick', pauseMs: 0 } as const;
  for (let attempts = 0; attempts < 5; attempts += 1) agenda.observe('https://a.example', sick);
  clock.advance(4_000_000);
  for (let index = 0; index < 2_000; index += 1) agenda.observe(`https://o${index}.example`, sick);
  agenda.put('default/d', inLane('https://a.example'), clock.now());
  agenda.put('default/e', inLane('https://a.example'), clock.now());
  expect([agenda.take()?.key, agenda.take()?.key]).toEqual(['default/d', 'default/e']);
});

it('makes no origin wait for the sickness of another, in whatever order all of it comes', () => {
  const well = 'https://well.example';
  const event = fc.record({
    origin: fc.constantFrom('https://a.example', 'https://b.example', 'https://c.example', well),
    does: fc.constantFrom('hang', 'fail', 'pause', 'wait'),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      const clock = new ManualClock();
      const agenda = new Agenda(clock, () => {});
      let key = 0;
      for (const { origin, does } of events) {
        if (does === 'wait') clock.advance(20_000);
        key += 1;
        agenda.put(`d${key}`, inLane(origin), clock.now());
        const taken = agenda.take();
        agenda.arm();
        if (taken === undefined || does === 'hang') continue;
        if (taken.lane !== well)
          agenda.observe(taken.lane, { health: 'sick', pauseMs: does === 'pause' ? 3_600_000 : 0 });
        agenda.done(taken.lane);
      }
      agenda.disarm();
      // However many of the others hang, wait or are paused: what is well has its turn within a round of them.
      agenda.put('well', inLane(well), clock.now());
      const lanes: string[] = [];
      for (let next = agenda.take(); next !== undefined; next = agenda.take()) {
        lanes.push(next.lane);
        if (next.lane === well) break;
      }
      const before = lanes.slice(0, -1);
      const hangsItself = events.filter(({ origin }) => origin === well).length >= 16;
      if (!hangsItself) expect(lanes.at(-1)).toBe(well);
      expect(before.length).toBeLessThanOrEqual(3);
    }),
    { numRuns: 200 },
  );
});

it('gives what is to be judged a turn whatever its lane does, a few at a time, and each once', () => {
  const clock = new ManualClock();
  const agenda = new Agenda(clock, () => {});
  const lane = 'https://a.example';
  agenda.observe(lane, { health: 'well', pauseMs: 3_600_000 });
  for (let index = 0; index < 100; index += 1)
    agenda.put(`d${index}`, { lane, isUnjudged: true }, clock.now() + (index % 2) * 1_000);
  agenda.arm();
  clock.advance(1_000);
  agenda.put('d0', inLane(lane), 0);
  agenda.disarm();
  const judged = new Set<string>();
  for (let batch = 0; batch < 10; batch += 1) {
    const before = judged.size;
    for (let key = agenda.takeUnjudged(); key !== undefined; key = agenda.takeUnjudged()) judged.add(key);
    expect(judged.size - before).toBeLessThanOrEqual(32);
    for (let done = before; done < judged.size; done += 1) agenda.judged();
  }
  expect(judged.size).toBe(100);
  expect(agenda.waiting).toBe(0);
  expect(agenda.take()).toBeUndefined();
});
