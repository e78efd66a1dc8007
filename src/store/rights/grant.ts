import type { ListWatch } from '../reflector.ts';
import type { CallOptions } from '../store.ts';
import type { Versioned } from '../view.ts';

/** What gives Telos its rights in one namespace, as it was read: on Kubernetes a RoleBinding. */
export interface Grant extends Versioned {
  readonly finalizers: readonly string[];
  /** Somebody deleted it; it gives its rights until its last finalizer is taken off. */
  readonly isDeleting: boolean;
}

/** The grants of one installation: one in each namespace that it may work in. Errors are StoreError. */
export interface GrantBook extends ListWatch<Grant> {
  /** Replaces the finalizers of that version; resolves with the new one. @throws StoreError `Conflict` when there is one */
  writeFinalizers(grant: Grant, finalizers: readonly string[], options: CallOptions): Promise<Grant>;
  /** Whether a namespace is being deleted, or gone. */
  isNamespaceGoing(namespace: string, options: CallOptions): Promise<boolean>;
}
