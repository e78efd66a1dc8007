import type { Fault } from '../api/fault.ts';
import { StoreError } from './errors.ts';
import { type Key, keyText } from './store.ts';

export function notFound(kind: string, key: Key): StoreError {
  return new StoreError('NotFound', `${kind} ${keyText(key)} does not exist`);
}

export function alreadyExists(kind: string, key: Key): StoreError {
  return new StoreError('AlreadyExists', `${kind} ${keyText(key)} exists already`);
}

export function conflict(kind: string, key: Key, why: string): StoreError {
  return new StoreError('Conflict', `${kind} ${keyText(key)}: ${why}; read it again and decide anew`);
}

/** One broken rule, before it is known which resource it is about. */
export function invalid(path: string, message: string): StoreError {
  return invalidFaults('', [{ path, message }]);
}

/** `subject` says which resource (`Task default/a`), or is empty. The first fault stands for all in the message. */
export function invalidFaults(subject: string, faults: readonly Fault[]): StoreError {
  const [first] = faults;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : '';
  const where = first === undefined || first.path === '' ? '' : `${first.path}: `;
  const what = first === undefined ? 'is not valid' : `${where}${first.message}${more}`;
  return new StoreError('Invalid', subject === '' ? what : `${subject}: ${what}`, { faults });
}

export function gone(why: string): StoreError {
  return new StoreError('Gone', `${why}; list again`);
}
