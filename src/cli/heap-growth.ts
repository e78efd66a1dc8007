import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect garbage when the heap has grown by 60 % since the last time. Left alone on a big machine it
 * waits until the heap is four times as large, in each thread, to no gain in speed that can be measured. For
 * the whole process: to be called by a program that runs for long, before it does anything.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=60');
}
