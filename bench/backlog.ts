import type { Row } from './main.ts';
import { median } from './numbers.ts';
import { discard, dueDeliveries } from './prepared-store.ts';
import { type Receivers, startEngine } from './stand.ts';
import { steadyRate } from './throughput.ts';

const runs = 5;
const completions = 8_000;

/** A start with many Deliveries that fell due while their receivers were down, and are up again. */
export async function backlog(receivers: Receivers, due: number): Promise<Row[]> {
  const rates: number[] = [];
  const ratios: number[] = [];
  const peaks: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const engine = await startEngine();
    const path = await dueDeliveries(due, receivers.urls);
    const { rate, peakMb } = await engine.workOff(receivers, { path }, due);
    discard(path);
    const steady = await steadyRate(engine, receivers, completions);
    engine.close();
    rates.push(rate);
    ratios.push(rate / steady);
    peaks.push(peakMb);
  }
  const what = `backlog of ${due} due Deliveries`;
  return [
    { measure: `${what}, deliveries/s`, value: median(rates).toFixed(0), goal: '' },
    { measure: `${what} ÷ steady rate`, value: median(ratios).toFixed(2), goal: '≥ 0.8' },
    { measure: `${what}, peak RSS (MB)`, value: median(peaks).toFixed(0), goal: '≤ 400' },
  ];
}
