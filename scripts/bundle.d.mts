export const root: string;
export const program: Readonly<Record<string, string>>;
export function bundle(entryPoints: Readonly<Record<string, string>>, outdir: string): Promise<void>;
