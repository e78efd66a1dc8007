import type { KubeObject } from '../kit/kube-object.ts';

/** What the stand-in node reads of a Pod. */
export interface Pod extends KubeObject {
  readonly spec: PodSpec;
  readonly status?: PodStatus;
}

export interface PodSpec {
  readonly nodeName?: string;
  readonly serviceAccountName?: string;
  readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never';
  readonly activeDeadlineSeconds?: number;
  readonly terminationGracePeriodSeconds?: number;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workingDir?: string;
  readonly env?: readonly EnvVar[];
  readonly envFrom?: readonly EnvSource[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
  }[];
}

interface Selector {
  readonly name: string;
  readonly key: string;
  readonly optional?: boolean;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly secretKeyRef?: Selector;
    readonly configMapKeyRef?: Selector;
    readonly fieldRef?: { readonly fieldPath: string };
  };
}

export interface EnvSource {
  readonly prefix?: string;
  readonly secretRef?: { readonly name: string; readonly optional?: boolean };
  readonly configMapRef?: { readonly name: string; readonly optional?: boolean };
}

export interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string };
  readonly configMap?: { readonly name: string };
}

export interface TerminatedState {
  readonly exitCode: number;
  readonly reason: string;
  readonly message?: string;
  readonly startedAt: string | null;
  readonly finishedAt: string;
}

export type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: TerminatedState };

export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly imageID: string;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState | Record<string, never>;
}

export interface PodStatus {
  readonly phase?: PodPhase;
  readonly reason?: string;
  readonly message?: string;
  readonly startTime?: string;
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

/** What became of the Pod as a whole, before its containers did. */
export interface PodVerdict {
  readonly reason: string;
  readonly message: string;
}

export interface ObservedPod {
  readonly spec: PodSpec;
  readonly startTime: string;
  readonly initContainers: readonly ContainerStatus[];
  readonly containers: readonly ContainerStatus[];
  /** Whether it was ended, and nothing will be started again. */
  readonly ended: boolean;
  readonly verdict: PodVerdict | undefined;
}

/** The status that a kubelet would write of such a Pod. */
export function podStatus(pod: ObservedPod): object {
  const { spec, startTime, initContainers, containers, verdict } = pod;
  const phase = finalPhase(pod) ?? podPhase(spec, initContainers, containers);
  const over = phase === 'Succeeded' || phase === 'Failed';
  const initialized = initContainers.every((status) => exitCodeOf(status) === 0);
  const ready = !over && initialized && containers.every((status) => status.ready);
  const why = over ? (phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed') : 'ContainersNotReady';
  const condition = (type: string, holds: boolean, reason?: string): object => ({
    type,
    status: holds ? 'True' : 'False',
    ...(!holds && reason && { reason }),
    lastTransitionTime: startTime,
  });
  return {
    phase,
    ...(over && verdict),
    startTime,
    hostIP: '127.0.0.1',
    podIP: '127.0.0.1',
    podIPs: [{ ip: '127.0.0.1' }],
    conditions: [
      condition('Initialized', initialized, 'ContainersNotInitialized'),
      condition('Ready', ready, why),
      condition('ContainersReady', ready, why),
    ],
    initContainerStatuses: initContainers,
    containerStatuses: containers,
  };
}

function finalPhase({ ended, verdict, initContainers, containers }: ObservedPod): PodPhase | undefined {
  if (!ended && verdict === undefined) return undefined;
  const all = [...initContainers, ...containers];
  if (all.some(({ state }) => 'running' in state)) return 'Running';
  return verdict === undefined && all.every((status) => exitCodeOf(status) === 0) ? 'Succeeded' : 'Failed';
}

function podPhase(
  { restartPolicy = 'Always' }: PodSpec,
  initContainers: readonly ContainerStatus[],
  containers: readonly ContainerStatus[],
): PodPhase {
  const neverAgain = restartPolicy === 'Never';
  if (neverAgain && initContainers.some((status) => (exitCodeOf(status) ?? 0) !== 0)) return 'Failed';
  if (initContainers.some((status) => exitCodeOf(status) !== 0)) return 'Pending';
  if (containers.some(({ state, restartCount }) => 'waiting' in state && restartCount === 0))
    return 'Pending';
  const codes = containers.map(exitCodeOf);
  if (restartPolicy === 'Always' || codes.includes(undefined)) return 'Running';
  if (codes.every((code) => code === 0)) return 'Succeeded';
  return neverAgain ? 'Failed' : 'Running';
}

function exitCodeOf({ state }: ContainerStatus): number | undefined {
  return 'terminated' in state ? state.terminated.exitCode : undefined;
}
