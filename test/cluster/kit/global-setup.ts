import type { TestProject } from 'vitest/node';
import { startStandInNode } from '../stand-in-node/stand-in-node.ts';
import type { SharedCluster } from './cluster.ts';
import { ClusterClient } from './cluster-client.ts';
import { controlPlanePrograms, startControlPlane } from './control-plane.ts';
import type { KubeObject } from './kube-object.ts';
import { hasKubectl } from './kubectl.ts';

interface Node extends KubeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Gives the cluster suites the cluster that they share: the one that is named, else one of their own. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const named = process.env['TELOS_TEST_KUBECONFIG'];
  const programs = controlPlanePrograms();
  const ending: (() => Promise<unknown>)[] = [];
  const end = async (): Promise<void> => {
    for (const step of ending.reverse()) await step();
  };
  if (named) project.provide('cluster', await joinCluster(named, ending));
  else if (programs !== undefined) project.provide('cluster', await ownCluster(programs, ending));
  else {
    console.log('no cluster to test on: `npm run test:cluster` makes one, TELOS_TEST_KUBECONFIG names one');
    project.provide('cluster', undefined);
    return end;
  }
  sayWhatIsLeftOut();
  return end;
}

/** What is not tested must not seem to be, and in CI nothing is left out. */
function sayWhatIsLeftOut(): void {
  if (!process.env['TELOS_TEST_HELM'])
    console.log(
      'the chart is not tested: `npm run test:cluster` finds or builds a helm, TELOS_TEST_HELM names one',
    );
  if (hasKubectl) return;
  const without = 'installations are not tested: there is no kubectl on the PATH';
  if (process.env['CI']) throw new Error(without);
  console.log(without);
}

async function ownCluster(programs: string, ending: (() => Promise<unknown>)[]): Promise<SharedCluster> {
  const plane = await startControlPlane(programs);
  ending.push(() => plane.stop());
  // Without a scheduler no Pod would ever come to a node.
  if (!plane.controllers) return { kubeconfig: plane.kubeconfig, controllers: false, standIn: false };
  return joinCluster(plane.kubeconfig, ending);
}

/** A cluster without a node that is ready gets a stand-in. */
async function joinCluster(kubeconfig: string, ending: (() => Promise<unknown>)[]): Promise<SharedCluster> {
  const client = ClusterClient.fromKubeconfig(kubeconfig);
  ending.push(() => client.close());
  const { items } = await client.list<Node>('v1/nodes');
  const ready = items.filter(isReady);
  if (ready.length === 0) {
    const node = await startStandInNode(client);
    ending.push(() => node.stop());
  }
  const standIn = ready.every(({ metadata }) => metadata.labels?.['telos.dev/stand-in'] === 'true');
  return { kubeconfig, controllers: true, standIn };
}

function isReady({ status }: Node): boolean {
  return status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') ?? false;
}
