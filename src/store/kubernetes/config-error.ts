import { StoreError } from '../errors.ts';

/** A setting that the API server cannot be reached with. The message reads `WHERE: WHAT: WHAT TO DO`. */
export function configError(where: string, what: string, remedy: string, cause?: unknown): StoreError {
  return new StoreError('Unavailable', `${where}: ${what}: ${remedy}`, { cause });
}
