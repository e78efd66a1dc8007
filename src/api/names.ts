/** Labels, annotations and finalizers, exactly as they stand on resources. */

/** Label: the TaskSpawner that made the Task. */
export const taskSpawnerLabel = 'kelos.dev/taskspawner';

/** Annotation: the TaskSpawner that a Task made by hand was taken from. */
export const createdFromAnnotation = 'kelos.dev/created-from-taskspawner';

/** Annotation: JSON array of the hooks that must be told when the Task ends. The contract with whoever stamps it. */
export const onCompletionAnnotation = 'kelos.dev/on-completion';

/** Annotation: the terminal phase whose Deliveries are recorded. */
export const reportedPhaseAnnotation = 'kelos.dev/webhook-report-phase';

/** Annotation: the run (see `report/run-id.ts`) whose Deliveries are recorded. Tells a second run of the same phase apart. */
export const reportedRunAnnotation = 'telos.dev/webhook-report-run';

/** Annotation: since when outputs are awaited of a Task that ended without completionTime. There only so long. */
export const outputsAwaitedAnnotation = 'telos.dev/outputs-awaited-since';

/** Annotation: `"true"` lets a Task go although its hooks are not recorded. */
export const skipCompletionAnnotation = 'telos.dev/skip-completion';

/** Annotation: the ordinal of a Task among those of its TaskSpawner, counted from 1. Gives age its order within a second. */
export const taskNumberAnnotation = 'telos.dev/task-number';

/** Annotation on a Secret: the only origins (or `*.name` patterns, space separated) its values may be sent to. */
export const hookOriginsAnnotation = 'telos.dev/hook-origins';

/** Label on a Secret: may be sent by hooks when `--hook-secrets labelled` is on. */
export const hookSecretLabel = 'telos.dev/hook-secret';

/** Annotation on a Delivery: a value that differs from `status.redelivered` asks for a fresh schedule. */
export const redeliverAnnotation = 'telos.dev/redeliver';

/** Annotation on a Delivery: `"true"` when the completion was too old to tell anybody of when it was first seen. */
export const expiredAnnotation = 'telos.dev/expired';

/** Label on a Delivery: the name of its Task (left out when it is longer than a label value may be). */
export const deliveryTaskLabel = 'telos.dev/task';

/** Label on a Delivery: the name of its hook. */
export const deliveryHookLabel = 'telos.dev/hook';

/** Label on a Job and its Pods: the uid of the Task that Telos runs with them. */
export const taskUidLabel = 'telos.dev/task-uid';

/** Finalizer: keeps a Task until its Deliveries are recorded. */
export const onCompletionFinalizer = 'telos.dev/on-completion';

/** Finalizer: keeps a Task until nothing of its run is left that does not go with it. */
export const runFinalizer = 'telos.dev/run';

/** Finalizer, on a RoleBinding: keeps the rights in a namespace until Telos has let go of what is there. */
export const rightsFinalizer = 'telos.dev/rights';

/** Finalizer: Kelos's own. A Task that has it is run by Kelos. */
export const kelosFinalizer = 'kelos.dev/finalizer';

/** The Lease that Kelos's controller holds while it works, where its installation puts it. */
export const kelosLease = { namespace: 'kelos-system', name: 'kelos-controller-leader-election' };
