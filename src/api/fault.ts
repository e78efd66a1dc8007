/** One broken rule of a resource: where (`spec.onCompletion.hooks[0].name`) and what to do about it. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}
