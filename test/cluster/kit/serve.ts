/** A cluster to try things on by hand: `npm run cluster`. Runs until it is interrupted. */
import { once } from 'node:events';
import { startStandInNode } from '../stand-in-node/stand-in-node.ts';
import { controlPlanePrograms, startControlPlane } from './control-plane.ts';

const interrupted = Promise.race(['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => once(process, signal)));
const programs = controlPlanePrograms();
if (programs === undefined) throw new Error('TELOS_TEST_CONTROL_PLANE is not set');
const plane = await startControlPlane(programs);
const node = plane.controllers ? await startStandInNode(plane.admin) : undefined;
console.log(`export KUBECONFIG=${plane.kubeconfig}\nexport TELOS_TEST_KUBECONFIG=${plane.kubeconfig}`);
await interrupted;
await node?.stop();
await plane.stop();
