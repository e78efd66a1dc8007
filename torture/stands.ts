import { openKubernetesStand } from './kubernetes-stand.ts';
import { openSqliteStand } from './sqlite-stand.ts';
import type { Stand, StandOptions } from './stand.ts';

/** Every kind of store that can be tortured. */
export const stands = {
  sqlite: openSqliteStand,
  kubernetes: openKubernetesStand,
} satisfies Record<string, (options: StandOptions) => Promise<Stand>>;

export type StandKind = keyof typeof stands;
