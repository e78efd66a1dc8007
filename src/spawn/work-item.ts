/** One thing a source found: what becomes one Task. */
export interface WorkItem {
  /** What its Task is called after the name of the TaskSpawner. */
  readonly name: ItemName;
  /** The variables of the templates, as Go templates see them: a number is a float64, a bigint an int. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Annotations that the source puts on the Task; they win over those of the template. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * How a work item is told from the others of its TaskSpawner. The same item always has the same name: that is
 * what makes a second delivery of it a duplicate.
 */
export type ItemName =
  /** `<spawner>-<id>`: the source's own short id, such as the tick of a schedule. */
  | { readonly kind: 'id'; readonly id: string }
  /** `<spawner>-<event>-<12 hex of SHA-256>`: one delivery of an event. */
  | { readonly kind: 'delivery'; readonly event: string; readonly deliveryId: string };
