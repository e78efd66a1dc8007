import type { Fault } from '../api/fault.ts';
import { TelosError } from '../base/errors.ts';

/** What can go wrong with a store operation, in the words of the Kubernetes API. */
export type StoreErrorCode =
  /** No such resource. */
  | 'NotFound'
  /** Create: the name is taken. */
  | 'AlreadyExists'
  /** A precondition (resourceVersion, uid) no longer holds: read again and decide anew. */
  | 'Conflict'
  /** The resource breaks its schema; `faults` says where. Trying again is useless. */
  | 'Invalid'
  /** The watch version or list token is too old: list again. */
  | 'Gone'
  /** The store cannot be reached, read or written now; trying later may help. */
  | 'Unavailable'
  /** What the store holds is broken: somebody has to mend it. */
  | 'Damaged';

export class StoreError extends TelosError {
  declare readonly code: StoreErrorCode;
  /** Only for Invalid; empty otherwise. */
  readonly faults: readonly Fault[];
  /** The store is there and says no: only a person can change that, so it must be heard each time. */
  readonly isRefusal: boolean;

  constructor(
    code: StoreErrorCode,
    message: string,
    options?: ErrorOptions & { faults?: readonly Fault[]; isRefusal?: boolean },
  ) {
    super(code, message, options);
    this.faults = options?.faults ?? [];
    this.isRefusal = options?.isRefusal ?? false;
  }
}

/** Whether an error is a StoreError of the given code. */
export function isStoreError(error: unknown, code: StoreErrorCode): error is StoreError {
  return error instanceof StoreError && error.code === code;
}

/** Whether a store says that it may not, which no trying mends. */
export function isRefusedByStore(error: unknown): boolean {
  return isStoreError(error, 'Unavailable') && error.isRefusal;
}

/**
 * How loud a failure is that will be tried again: that a store is in trouble is said by itself, or by who watches
 * it, and once.
 */
export function retryLogLevel(error: unknown): 'debug' | 'warn' {
  return isStoreError(error, 'Unavailable') && !error.isRefusal ? 'debug' : 'warn';
}
