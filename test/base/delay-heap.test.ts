import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DelayHeap } from '../../src/base/delay-heap.ts';

test('values come out by due time, none early, none lost, none twice', () => {
  const push = fc.record({ push: fc.integer({ min: 0, max: 20 }) });
  const pop = fc.record({ pop: fc.integer({ min: 0, max: 20 }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(push, pop), { maxLength: 60 }), (steps) => {
      const heap = new DelayHeap<number>();
      const model = new Map<number, number>();
      for (const [id, step] of steps.entries()) {
        if ('push' in step) {
          heap.push(step.push, id);
          model.set(id, step.push);
        } else {
          const earliest = model.size === 0 ? undefined : Math.min(...model.values());
          expect(heap.nextDue).toBe(earliest);
          const value = heap.popDue(step.pop);
          if (earliest === undefined || earliest > step.pop) expect(value).toBeUndefined();
          else {
            expect(model.get(value as number)).toBe(earliest);
            model.delete(value as number);
          }
        }
        expect(heap.size).toBe(model.size);
      }
      const rest: number[] = [];
      for (let due = heap.nextDue; due !== undefined; due = heap.nextDue) {
        rest.push(due);
        model.delete(heap.popDue(due) as number);
      }
      expect(rest).toEqual([...rest].sort((a, b) => a - b));
      expect(model.size).toBe(0);
    }),
  );
});
