import type { ReferenceDocument } from '../conformance.ts';
import { autoscaling } from './autoscaling.ts';
import { configVolumes } from './config-volumes.ts';
import { perServiceConfig } from './per-service-config.ts';
import { sharedConfig } from './shared-config.ts';
import { valueFrom } from './value-from.ts';

/** In the order of docs/reference-systems.md. */
export const documents: readonly ReferenceDocument[] = [
  configVolumes,
  autoscaling,
  sharedConfig,
  perServiceConfig,
  valueFrom,
];
