export declare function bundleTorture(outdir: string): Promise<void>;
