/** Whether what is in a namespace may be read and written now. */
export interface NamespaceAccess {
  /** `unknown`: it is being found out. Nothing is asked of a namespace that is not open. */
  stateOf(namespace: string): 'open' | 'closed' | 'unknown';
  /** Resolves when the state of the namespace is another one. @throws the signal's reason when it aborts first */
  changed(namespace: string, signal: AbortSignal): Promise<void>;
}
