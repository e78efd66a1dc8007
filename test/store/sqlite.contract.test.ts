import { temporaryStore } from '../support/temporary-store.ts';
import { storeContract } from './contract.ts';

storeContract('SQLite', async () => {
  const { store, close } = await temporaryStore();
  return { store, namespace: 'default', otherNamespace: 'other', close };
});
