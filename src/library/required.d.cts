// What `require('signalbox/testing')` gives, to compilers that tell modules from CommonJS: the same as its import.
import type * as library from './main.js' with { 'resolution-mode': 'import' };

export type * from './main.js' with { 'resolution-mode': 'import' };
export declare const startCluster: typeof library.startCluster;
