import type { PlannedObject } from '../../scripts/lib/plan.ts';

/** What most planned objects do not have. */
export const plainly: Omit<PlannedObject, 'action' | 'reference' | 'before' | 'after' | 'manifest' | 'uid'> =
  {
    live: undefined,
    replaces: undefined,
    isSuperseded: false,
    usedBy: [],
    stays: undefined,
    renewal: undefined,
    isOwnershipOnly: false,
    isAdopted: false,
    takeover: undefined,
    notValidated: undefined,
  };
