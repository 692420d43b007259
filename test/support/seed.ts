// Preloaded by test/run.ts: a run is the same as the one before, so that what it finds is news.
import fc from 'fast-check';
import { seed } from './chaos.ts';

fc.configureGlobal({ seed });
